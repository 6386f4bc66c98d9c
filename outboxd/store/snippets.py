"""A few words around the best match, as plain text."""

import re
from collections import Counter, deque

LONGEST = 240
_SPAN = 180
"""Characters that the words of one match may take."""
_LOOKED_AT = 100_000
_MOST_TERMS = 64
_BLANKS = re.compile(r"\s+")
_WORD = re.compile(r"\w+")
_ENDINGS = 3
"""Letters by which a word may differ from the one asked for."""


def snippet(content: str, query: str) -> str:
    """At most 240 characters of it, blanks collapsed, where most words of the query stand together."""
    text = _BLANKS.sub(" ", content[:_LOOKED_AT]).strip()
    if len(text) <= LONGEST:
        return text
    return _cut(text, _best(text, query))


def _best(text: str, query: str) -> int:
    """Where the window begins that has most of the words."""
    terms = list(dict.fromkeys(word.lower() for word in _WORD.findall(query)))[:_MOST_TERMS]
    stems = [term[: max(3, len(term) - _ENDINGS)] for term in terms]
    if not stems:
        return 0
    found = re.compile("|".join(map(re.escape, sorted(stems, key=len, reverse=True))))
    inside: deque[tuple[int, str]] = deque()
    counts: Counter[str] = Counter()
    best, most = 0, 0
    for hit in found.finditer(text.lower()):
        inside.append((hit.start(), hit[0]))
        counts[hit[0]] += 1
        while hit.start() - inside[0][0] > _SPAN:
            _, gone = inside.popleft()
            counts[gone] -= 1
        distinct = len(+counts)
        if distinct > most:
            best, most = inside[0][0], distinct
    return best


def _cut(text: str, at: int) -> str:
    begin = max(0, min(at - 40, len(text) - LONGEST))
    blank = text.find(" ", begin, at) if begin else -1
    begin = blank + 1 if blank >= 0 else begin
    window = text[begin : begin + LONGEST]
    if begin + LONGEST < len(text) and " " in window[LONGEST // 2 :]:
        window = window[: window.rindex(" ")]
    return window
