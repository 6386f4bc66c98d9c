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
    return None if row is None else _struct(row, kind)


async def many(cur: AsyncCursor[DictRow], kind: type[T]) -> list[T]:
    return [_struct(row, kind) for row in await cur.fetchall()]


async def value(cur: AsyncCursor[DictRow], kind: type[T]) -> T:
    """The one column of the only row. Raises Broken when there is no row."""
    row = await cur.fetchone()
    if row is None:
        raise Broken("a statement returned no row")
    return _value(row, kind)


async def values(cur: AsyncCursor[DictRow], kind: type[T]) -> list[T]:
    """The one column of every row."""
    return [_value(row, kind) for row in await cur.fetchall()]


def _struct(row: DictRow, kind: type[T]) -> T:
    given = {
        encoded: row[name] if keeps_json or not isinstance(row[name], msgspec.Raw) else _decoded(row[name])
        for name, encoded, keeps_json in _fields(typing.cast("Hashable", kind))
        if name in row
    }
    return msgspec.convert(given, kind, builtin_types=_KEPT)


def _value(row: DictRow, kind: type[T]) -> T:
    found = next(iter(row.values()))
    if kind is not msgspec.Raw and isinstance(found, msgspec.Raw):
        found = _decoded(found)
    return msgspec.convert(found, kind, builtin_types=_KEPT)


@cache
def _fields(kind: Hashable) -> tuple[tuple[str, str, bool], ...]:
    """Name, name in messages, whether JSON stays as it is; read once a struct."""
    return tuple(
        (
            field.name,
            field.encode_name,
            field.type is msgspec.Raw or msgspec.Raw in typing.get_args(field.type),
        )
        for field in msgspec.structs.fields(kind)  # type: ignore[arg-type]  # whoever asks has a struct
    )


def _decoded(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)
