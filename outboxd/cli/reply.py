"""What a verb returns: rows, one thing, or a text. How it looks is decided in `output`."""

from collections.abc import Sequence
from typing import Any

import msgspec


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """A list; with `--json` one document `{name: [...]}`, with `--jsonl` a row a line."""

    name: str
    columns: tuple[str, ...]
    """What a table shows, by the names of the JSON; the document has every field."""
    rows: Sequence[Any]
    """Structs or mappings."""
    exit: int = 0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One thing: a line a field, or one document."""

    fields: Any
    """A struct or a mapping."""
    unfolded: tuple[str, ...] = ()
    """Fields whose parts are shown one a line, where people read it."""
    exit: int = 0


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """Words that are no table, printed as they are."""

    text: str
    document: Any
    """The same for machines."""
    exit: int = 0


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Several things about one, each under its title; for machines one document."""

    parts: tuple[tuple[str, Rows | Record], ...]
    document: Any
    exit: int = 0


Reply = Rows | Record | Text | Page
