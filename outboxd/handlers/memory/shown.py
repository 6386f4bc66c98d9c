"""Texts and payloads as a model may see them: nothing private, no context tags, no secrets, cut to size.

    strip ──▶ decode ──▶ controls out, secrets out ──▶ long strings cut ──▶ indented ──▶ cut as a whole

Cut comes last: what is cut in half is recognised by nobody. Escaping for XML is the prompt's.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from outboxd.handlers.memory import exact, privacy
from outboxd.handlers.memory.redaction import Redactor

LONGEST_STRING = 4_000
LONGEST_PAYLOAD = 16_384

_SHARE_OF_HEAD = 0.7
# What XML 1.0 does not have, or has only to be forgotten: C0 and C1 but tab and line feed, half characters.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    value: Any
    """The same as decoded JSON, its long strings cut; numbers may be `Raw`."""
    private: int
    """How many private spans were taken out."""
    empty: bool
    """Nothing is left but keys and empty strings."""


def payload(raw: bytes, redactor: Redactor | None, most: int = LONGEST_PAYLOAD) -> Shown:
    """A payload, valid JSON, in at most `most` characters. `redactor` None: secrets stay."""
    stripped, private = privacy.strip_raw(raw, privacy.ALL)
    try:
        value = _each(exact.decode(stripped), lambda text: _CONTROLS.sub("", text))
        value = redactor.value(value) if redactor else value
        value = _each(value, lambda text: cut(text, LONGEST_STRING))
        text = value if isinstance(value, str) else exact.indented(value)
    except RecursionError:
        # Deeper than anything reads: it is shown as it is written.
        value = text = _plain(stripped.decode(), redactor)
    return Shown(
        text=cut(text, most),
        value=value,
        private=private,
        empty=not privacy.says_anything(stripped),
    )


def text(text: str, redactor: Redactor | None, most: int = LONGEST_STRING) -> str:
    """Any other text of a request."""
    return cut(_plain(privacy.strip_text(text, privacy.ALL)[0], redactor), most)


def cut(text: str, most: int) -> str:
    """At most `most` characters, head and tail around a note of how many are missing."""
    if len(text) <= most:
        return text
    room = most - len(_note(len(text)))
    head = int(room * _SHARE_OF_HEAD)
    tail = room - head
    if head <= 0 or tail <= 0:
        return text[:most]
    return text[:head] + _note(len(text) - head - tail) + text[-tail:]


def _note(missing: int) -> str:
    return f"[… {missing} characters left out …]"


def _plain(text: str, redactor: Redactor | None) -> str:
    plain = _CONTROLS.sub("", text)
    return redactor.text(plain) if redactor else plain


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """`change` of every string, keys included."""
    match value:
        case str():
            return change(value)
        case list():
            return [_each(each, change) for each in value]
        case dict():
            return {change(key): _each(each, change) for key, each in value.items()}
    return value
