"""How replies and errors look: tables for people, JSON for machines.

On a terminal a table is cut to its width; elsewhere it is plain and whole. What tenants wrote is
shown as text: control characters would otherwise drive the operator's terminal.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TextIO

import msgspec

from outboxd.cli.reply import Page, Record, Reply, Rows, Text
from outboxd.errors import ConfigError, Error, Invalid

Form = Literal["table", "json", "jsonl"]

_GAP = "  "
_NARROWEST = 8
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_CLEAR = "\x1b[H\x1b[2J"


class Output:
    """Where replies go. `width` is None where nothing is cut."""

    def __init__(
        self, to: TextIO, form: Form = "table", *, width: int | None = None, colour: bool = False
    ) -> None:
        self._to = to
        self._form = form
        self._width = width
        self._colour = colour

    def show(self, reply: Reply) -> None:
        """Prints a reply and sends it off, so that a reader that has gone away is noticed here."""
        for line in self._lines(reply):
            self._to.write(line + "\n")
        self._to.flush()

    def clear(self) -> None:
        """Before a list is drawn again; only a terminal can be cleared."""
        if self._width is not None and self._form == "table":
            self._to.write(_CLEAR)

    def _lines(self, reply: Reply) -> Iterator[str]:
        match reply:
            case Text(text="", document=None):
                return  # all was said already, line by line
            case Rows() if self._form == "jsonl":
                yield from map(_json, reply.rows)
            case Rows() if self._form == "json":
                yield _json({reply.name: reply.rows})
            case Rows():
                yield from self._table(reply)
            case Record() if self._form == "table":
                yield from _fields(_unfolded(_builtins(reply.fields), reply.unfolded))
            case Record():
                yield _json(reply.fields)
            case Text() if self._form == "table":
                yield reply.text.removesuffix("\n")
            case Page() if self._form == "table":
                yield from self._page(reply)
            case Text() | Page():
                yield _json(reply.document)

    def _page(self, reply: Page) -> Iterator[str]:
        for title, part in reply.parts:
            if title:
                yield ""
                yield f"{_BOLD}{title}{_PLAIN}" if self._colour else title
            yield from self._lines(part)

    def _table(self, reply: Rows) -> Iterator[str]:
        rows = [_builtins(row) for row in reply.rows]
        cells = [[cell(name, _found(row, name)) for name in reply.columns] for row in rows]
        heads = [_head(name.rpartition(".")[2]) for name in reply.columns]
        widths = _widths([heads, *cells], self._width)
        head = _line(heads, widths)
        yield f"{_BOLD}{head}{_PLAIN}" if self._colour else head
        for row in cells:
            yield _line(row, widths)


def say_error(failed: Error, to: TextIO, *, json: bool) -> None:
    """The one place where a failure is told: a sentence a problem, or one document."""
    problems = _problems(failed)
    if json:
        to.write(_json({"error": failed.code, "message": "\n".join(problems)}) + "\n")
        return
    to.writelines(f"error: {_safe(problem)}\n" for problem in problems)


def _problems(failed: Error) -> Sequence[str]:
    match failed:
        case ConfigError():
            return failed.problems
        case Invalid(issues=[_, *_]):
            return [f"{'.'.join(issue.path)}: {issue.message}" for issue in failed.issues]
        case _:
            return [failed.detail]


def cell(name: str, value: Any) -> str:
    """A value in a table: times as ISO 8601 in UTC, nothing as `-`."""
    match value:
        case None:
            return "-"
        case True | False:
            return "yes" if value else "no"
        case int() if name.endswith("Epoch"):
            return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case timedelta():
            return _age(value)
        case list():
            return ",".join(cell(name, each) for each in value)
        case dict():
            return _safe(_json(value))
        case _:
            return _safe(str(value))


def _age(span: timedelta) -> str:
    """The two largest units: `3d 4h`, `2m 5s`; below a second, milliseconds."""
    if abs(span) < timedelta(seconds=1):
        return f"{round(span / timedelta(milliseconds=1))}ms"
    rest, parts = abs(round(span.total_seconds())), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts += [f"{count}{unit}"] if count else []
    return ("-" if span < timedelta() else "") + " ".join(parts[:2])


def _builtins(value: Any) -> dict[str, Any]:
    """As the JSON names it; by way of the JSON, since structs may hold pieces of it as they came."""
    fields = msgspec.json.decode(msgspec.json.encode(value), type=dict[str, Any])
    spans = value.items() if isinstance(value, Mapping) else ()
    return {**fields, **{name: each for name, each in spans if isinstance(each, timedelta)}}


def _found(row: Mapping[str, Any], name: str) -> Any:
    """What `a.b` names: the `b` of what stands under `a`, if anything does."""
    head, dot, rest = name.partition(".")
    value = row.get(head)
    return (_found(value, rest) if isinstance(value, dict) else None) if dot else value


def _unfolded(fields: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """With the parts of what is named, at any depth, in its place; what lies in another keeps its name."""
    shown: dict[str, Any] = {}
    for name, value in fields.items():
        if name in names and isinstance(value, dict):
            shown |= {f"{name}.{each}": part for each, part in _unfolded(value, names).items()}
        else:
            shown[name] = value
    return shown


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _fields(fields: Mapping[str, Any]) -> Iterator[str]:
    width = max(map(len, map(_head, fields)), default=0)
    for name, value in fields.items():
        yield f"{_head(name):<{width}}{_GAP}{cell(name, value)}"


def _head(name: str) -> str:
    """`createdAtEpoch` is a column `created at`: the unit is for machines."""
    spaced = "".join(f" {each.lower()}" if each.isupper() else each for each in name.removesuffix("Epoch"))
    return spaced.replace("_", " ").replace(".", " ")


def _widths(rows: Sequence[Sequence[str]], limit: int | None) -> list[int]:
    """As wide as what is in them; where that is too much the widest column gives."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if limit is None:
        return widths
    while sum(widths) + len(_GAP) * (len(widths) - 1) > limit and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    shown = (f"{_cut(text, width):<{width}}" for text, width in zip(cells, widths, strict=True))
    return _GAP.join(shown).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _safe(text: str) -> str:
    return "".join(each if each.isprintable() else "�" for each in text)
