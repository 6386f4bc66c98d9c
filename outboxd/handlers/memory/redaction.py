"""Secrets out of texts: what looks like one, or stands under a name like `password`, becomes
`[redacted:<kind>]`.

The forms are in `secret_forms`; a deployment adds its own by a file of `kind regex` lines. Tenants can
add none, since a form can be made to take for ever.
"""

import re
from pathlib import Path
from typing import Any

from msgspec import Raw

from outboxd.errors import ConfigError
from outboxd.handlers.memory import exact
from outboxd.handlers.memory.secret_forms import FORMS, NAMES, Form

_KIND = re.compile(r"[a-z0-9_-]{1,40}")
_NAME_GAPS = str.maketrans("", "", "_- .")
_LONGEST_NAME = max(map(len, NAMES))
_SHORTEST_NAME = min(map(len, NAMES))


class Redactor:
    """Finds the secrets of the built-in forms and of `extra`, which come first."""

    def __init__(self, extra: tuple[Form, ...] = ()) -> None:
        self._forms = (*extra, *FORMS)

    def text(self, text: str) -> str:
        """Time in proportion to the length: about 20 ms a MiB."""
        spans = self._spans(text)
        return _replaced(text, spans) if spans else text

    def value(self, value: Any) -> Any:
        """The same for every string of decoded JSON, and every scalar under a key named like a secret."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.value(each) for each in value]
            case dict():
                return {self.text(key): self._member(key, each) for key, each in value.items()}
        return value

    def raw(self, raw: bytes) -> bytes:
        """The same for a JSON document; numbers stay as written. Raises ValueError, RecursionError."""
        before = exact.decode(raw)
        after = self.value(before)
        return raw if after == before else exact.encode(after)

    def _member(self, key: str, value: Any) -> Any:
        kind = kind_of(key)
        return self.value(value) if kind is None else _hidden(value, f"[redacted:{kind}]")

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """(start, end, kind), by start, then by the order of the forms."""
        lowered = _lowered(text)
        spans = [
            (*found.span(found.lastgroup or 0), form.kind)
            for form in self._forms
            for found in form.pattern.finditer(lowered if form.lowered else text)
        ]
        spans.sort(key=lambda span: span[0])
        return spans


def kind_of(name: str) -> str | None:
    """What a key of JSON says of its value: `dbPassword`, `x-api-key`, `client_secret`, `token2`."""
    bare = name[-2 * _LONGEST_NAME :].lower().translate(_NAME_GAPS).rstrip("0123456789")
    if len(bare) < _SHORTEST_NAME:
        return None
    return next((kind for word, kind in NAMES.items() if bare.endswith(word)), None)


def read(path: Path | None) -> Redactor:
    """The redactor of a deployment. Raises ConfigError with a sentence for each bad line of its file."""
    if path is None:
        return Redactor()
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError([f"{path}: cannot be read"]) from None
    forms, problems = parsed(lines, str(path))
    if problems:
        raise ConfigError(problems)
    return Redactor(forms)


def parsed(lines: list[str], name: str) -> tuple[tuple[Form, ...], list[str]]:
    """Forms of `kind regex` lines, and what is wrong with them. Blank lines and # say nothing."""
    forms: list[Form] = []
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            forms.append(_form(line.strip()))
        except ValueError as wrong:
            problems.append(f"{name}: line {number}: {wrong}")
    return tuple(forms), problems


def _form(line: str) -> Form:
    kind, _, regex = line.partition(" ")
    if not _KIND.fullmatch(kind):
        raise ValueError("wants a kind of a-z, 0-9, _ and -, a blank, and a regular expression")
    try:
        pattern = re.compile(regex.strip())
    except (re.error, OverflowError, RecursionError) as wrong:
        raise ValueError(f"the regular expression cannot be used: {wrong}") from None
    if pattern.match("") is not None:
        raise ValueError("the regular expression matches nothing at all, so it matches everywhere")
    return Form(kind, pattern)


def _lowered(text: str) -> str:
    """In lower case, with each character at its place: one grows in the process, and is left out."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text.replace("\u0130", "i").lower()


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    """Overlapping ones are one secret, of the first one's kind."""
    kept: list[str] = []
    end, open_until = 0, -1
    for start, stop, kind in spans:
        if start >= open_until:
            kept += text[end:start], f"[redacted:{kind}]"
        end = open_until = max(stop, open_until)
    kept.append(text[end:])
    return "".join(kept)


def _hidden(value: Any, sign: str) -> Any:
    match value:
        case str():
            return sign if value else value
        case Raw():
            return sign
        case int() | float() if not isinstance(value, bool):
            return sign
        case list():
            return [_hidden(each, sign) for each in value]
        case dict():
            return {key: _hidden(each, sign) for key, each in value.items()}
    return value
