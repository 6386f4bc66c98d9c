"""Spans that people or tools marked, taken out of texts: `<private …>…</private>`, and context tags.

    PRIVATE   secrets of a person: removed before anything is stored
    ALL       those and the noise of agents: removed from prompts and from everything generated

A span nests by depth, has any case and any attributes. What never closes goes to the end of its text,
what closes without having been opened loses that tag. `<private/>` opens, as it does in HTML: of the two
readings this one shows less. Where taking a span out joins two halves to a new tag, that goes too.

JSON is rewritten string by string, in its bytes: numbers, blanks and the order of keys stay as they were.
Two keys that become equal by it are the reader's to settle, as in any JSON.
"""

import re

import msgspec

_PASSES = 3
"""What still shows a tag after as many was built to hide one."""

_LITERAL = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'"(?:[^"\\]++|\\.)*+"(\s*+:)?+|[^\s"\[\]{},:]++', re.DOTALL)
# A letter, `-` or `_` behind an escape.
_ESCAPED_NAME = re.compile(rb"\\u00(?:[4-7]|2[dD])")

_decode = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


class Tags:
    """Names of tags, and how their letters are found quickly."""

    def __init__(self, *names: str, counted: bool) -> None:
        self.names = tuple(name.lower().encode() for name in names)
        self.counted = counted
        """Whether a span of theirs was private."""
        either = "|".join(map(re.escape, names))
        # A tag that is cut off at the end of the text is one too: what it hides may have been cut before.
        self.tag = re.compile(rf"<(/?)({either})(?![\w.:-])[^<>]*+>?", re.IGNORECASE | re.ASCII)


_PRIVATE = Tags("private", counted=True)
_NOISE = Tags(
    "claude-mem-context",
    "system_instruction",
    "system-instruction",
    "persisted-output",
    "system-reminder",
    counted=False,
)

Rules = tuple[Tags, ...]
PRIVATE: Rules = (_PRIVATE,)
# Private spans first: one that a context tag cuts in half is still private as a whole.
ALL: Rules = (_PRIVATE, _NOISE)


def strip_text(text: str, rules: Rules) -> tuple[str, int]:
    """`text` without the spans of `rules`, and how many private ones there were (outermost ones count).

    Takes time in proportion to the text. What comes out shows no tag, so a second time changes nothing.
    """
    if "<" not in text:
        return text, 0
    private = 0
    for _ in range(_PASSES):
        before = text
        for tags in rules:
            text, spans = _without(text, tags)
            private += spans if tags.counted else 0
        if text == before:
            return text, private
    first = min((found.start() for tags in rules if (found := tags.tag.search(text))), default=len(text))
    return text[:first], private + (first < len(text))


def strip_raw(raw: bytes, rules: Rules) -> tuple[bytes, int]:
    """The same for each string of a JSON document, keys included. `raw` is valid JSON, of any depth.

    Costs three looks for a few letters when no tag's name is in it. Raises msgspec.DecodeError for a
    string that is none.
    """
    if not _may_show(raw, rules):
        return raw, 0
    private = 0

    def stripped(found: re.Match[bytes]) -> bytes:
        nonlocal private
        literal = found[0]
        if b"<" not in literal and b"\\u003" not in literal:
            return literal
        before = _decode(literal)
        after, spans = strip_text(before, rules)
        private += spans
        return literal if after == before else _encode(after)

    return _LITERAL.sub(stripped, raw), private


def says_anything(raw: bytes) -> bool:
    """Whether a payload, valid JSON, has more than empty strings, nulls and the keys that lead to them."""
    for found in _SCALAR.finditer(raw):
        key, scalar = found[1], found[0]
        if key is None and (_decode(scalar).strip() if scalar[:1] == b'"' else scalar != b"null"):
            return True
    return False


def _without(text: str, tags: Tags) -> tuple[str, int]:
    """One pass. While a span is open only its own name counts, since depth is a matter of one name."""
    kept: list[str] = []
    spans, depth, opened, end = 0, 0, "", 0
    for found in tags.tag.finditer(text):
        closing, name = found[1], found[2].lower()
        if depth == 0:
            kept.append(text[end : found.start()])
            end = found.end()
        elif name != opened:
            continue
        if closing:
            depth = max(depth - 1, 0)
            end = found.end()
        else:
            spans += depth == 0
            opened, depth = name, depth + 1
    if not kept:
        return text, 0
    if depth == 0:
        kept.append(text[end:])
    return "".join(kept), spans


def _may_show(raw: bytes, rules: Rules) -> bool:
    """Whether a name stands in it, or might behind an escape such as `\\u0070`."""
    if b"<" not in raw and b"\\u003" not in raw:
        return False
    if b"\\u00" in raw and _ESCAPED_NAME.search(raw):
        return True
    lowered = raw.lower()
    return any(name in lowered for tags in rules for name in tags.names)
