"""The marks in a model's reply, found in one pass: known tags, and CDATA inside of fields. Not XML: nothing
else is a mark, and nothing is expanded but the five names and numeric references, once.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator

import msgspec

_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_REFERENCE = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6}));")
_CDATA = re.compile(r"<!\[CDATA\[", re.IGNORECASE)
_CDATA_END = "]]>"
# What Postgres does not take, and what is in no text.
_WRONG = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Tag(msgspec.Struct, frozen=True):
    name: str
    closing: bool
    empty: bool
    """As `<title/>`."""
    start: int
    end: int
    said: str
    """What stands behind the name."""


class Tags:
    """The tags of `names` in a text, by number. `fields` are the names of those that hold only text.

    A number one past the last stands for "none".
    """

    def __init__(self, text: str, names: Collection[str], fields: Collection[str]) -> None:
        self._text = text
        self.all = list(_tags(text, names, fields))
        self._opening: dict[str, list[int]] = {name: [] for name in names}
        self._closing: dict[str, list[int]] = {name: [] for name in names}
        for number, tag in enumerate(self.all):
            (self._closing if tag.closing else self._opening)[tag.name].append(number)

    def opening(self, name: str, since: int) -> int:
        """The first tag that opens `name`, from tag `since` on."""
        return self._first(self._opening[name], since)

    def closing(self, name: str, since: int) -> int:
        return self._first(self._closing[name], since)

    def text(self, opening: int, until: int) -> str:
        """What a field says that starts with the tag `opening` and ends before the tag `until`."""
        end = self.all[until].start if until < len(self.all) else len(self._text)
        return plain(self._text[self.all[opening].end : end])

    def _first(self, numbers: list[int], since: int) -> int:
        place = bisect_left(numbers, since)
        return numbers[place] if place < len(numbers) else len(self.all)


def plain(field: str) -> str:
    """A field's text: unescaped once, but CDATA as it stands there; no control characters; trimmed."""
    parts: list[str] = []
    at = 0
    while found := _CDATA.search(field, at):
        end = field.find(_CDATA_END, found.end())
        if end < 0:
            break
        parts += unescaped(field[at : found.start()]), field[found.end() : end]
        at = end + len(_CDATA_END)
    parts.append(unescaped(_CDATA.sub("", field[at:])))
    return _WRONG.sub("", "".join(parts)).strip()


def unescaped(text: str) -> str:
    return _REFERENCE.sub(_meant, text)


def _meant(found: re.Match[str]) -> str:
    name, decimal, hexadecimal = found.groups()
    if name:
        return _NAMED[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(code) if code <= 0x10FFFF else "\ufffd"


def _tags(text: str, names: Collection[str], fields: Collection[str]) -> Iterator[Tag]:
    either = "|".join(names)
    mark = re.compile(
        rf"<\s*+(/?)\s*+({either})(?![\w.:-])([^<>]*+)>|{_CDATA.pattern}", re.IGNORECASE | re.ASCII
    )
    # Behind the last end of CDATA there is none, and nothing is looked for in vain.
    last = text.rfind(_CDATA_END)
    at, in_field = 0, False
    while found := mark.search(text, at):
        at = found.end()
        if found[2] is None:
            # Elsewhere it is what somebody wrapped the whole answer in.
            if in_field and at <= last:
                at = text.find(_CDATA_END, at) + len(_CDATA_END)
            continue
        closing, name, said = bool(found[1]), found[2].lower(), found[3].strip()
        empty = not closing and said.endswith("/")
        in_field = not (closing or empty) and name in fields
        yield Tag(name, closing, empty, found.start(), found.end(), said)
