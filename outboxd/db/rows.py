"""Rows as structs.

A column goes to the field of its name. JSON columns stay `msgspec.Raw` where the field says so and
are decoded where it names any other type; columns without a field are dropped.
"""

import typing
from collections.abc import Hashable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from psycopg import AsyncCursor
from psycopg.rows import DictRow

from outboxd.errors import Broken

T = TypeVar("T")

_MISSING = object()
_KEPT = (datetime, date, timedelta, Decimal, UUID, bytes)


async def one(cur: AsyncCursor[DictRow], kind: type[T]) -> T:
    """The only row of a result that always has one. Raises Broken when it has none."""
    found = await maybe(cur, kind)
    if found is None:
        raise Broken(f"a statement returned no {kind.__name__}")
    return found


async def maybe(cur: AsyncCursor[DictRow], kind: type[T]) -> T | None:
    """The first row, or None."""
    row = await cur.fetchone()
    return None if row is None else struct(row, kind)


async def many(cur: AsyncCursor[DictRow], kind: type[T]) -> list[T]:
    return [struct(row, kind) for row in await cur.fetchall()]


async def value(cur: AsyncCursor[DictRow], kind: type[T]) -> T:
    """The one column of the only row. Raises Broken when there is no row."""
    row = await cur.fetchone()
    if row is None:
        raise Broken("a statement returned no row")
    return _value(row, kind)


async def values(cur: AsyncCursor[DictRow], kind: type[T]) -> list[T]:
    """The one column of every row."""
    return [_value(row, kind) for row in await cur.fetchall()]


def struct(row: DictRow, kind: type[T]) -> T:
    """One row that was already fetched."""
    given: dict[str, Any] = {}
    apart: dict[str, msgspec.Raw] = {}
    for field in _fields(typing.cast("Hashable", kind)):
        found = row.get(field.name, _MISSING)
        if found is _MISSING or (found is None and field.keeps_json and not field.may_be_none):
            continue
        if isinstance(found, msgspec.Raw) and field.keeps_json and field.is_union:
            # msgspec converts `Raw`, but not `Raw | None`: those are put in afterwards.
            apart[field.name] = found
            if field.required:
                given[field.encoded] = None
        else:
            decode = isinstance(found, msgspec.Raw) and not field.keeps_json
            given[field.encoded] = _decoded(found) if decode else found
    made = msgspec.convert(given, kind, builtin_types=_KEPT)
    return typing.cast("T", msgspec.structs.replace(typing.cast("Any", made), **apart)) if apart else made


def _value(row: DictRow, kind: type[T]) -> T:
    found = next(iter(row.values()))
    if kind is not msgspec.Raw and isinstance(found, msgspec.Raw):
        found = _decoded(found)
    return msgspec.convert(found, kind, builtin_types=_KEPT)


class _Field(msgspec.Struct, frozen=True):
    """What of a struct's field has to be known for each row."""

    name: str
    encoded: str
    keeps_json: bool
    is_union: bool
    may_be_none: bool
    required: bool


@cache
def _fields(kind: Hashable) -> tuple[_Field, ...]:
    """Read once a struct."""
    return tuple(_field(field) for field in msgspec.structs.fields(kind))  # type: ignore[arg-type]  # it is one


def _field(field: msgspec.structs.FieldInfo) -> _Field:
    kind = _bare(field.type)
    members = tuple(map(_bare, typing.get_args(kind)))
    return _Field(
        name=field.name,
        encoded=field.encode_name,
        keeps_json=kind is msgspec.Raw or msgspec.Raw in members,
        is_union=bool(members),
        may_be_none=type(None) in members,
        required=field.required,
    )


def _bare(kind: Any) -> Any:
    """Without what `Annotated` tells the reader of a schema."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind


def _decoded(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)
