"""Handlers that operators and apps declared, so that routes may name them."""

from typing import Any

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller, Epoch
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_LIST = b"""
select name, open, declared_by, outbox.ms(created_at) as created_at_epoch
from outbox.handlers order by name limit %s
"""
_ADD = f"select outbox.add_handler({CALLER}, %s, %s) as new".encode()
_REMOVE = f"select outbox.remove_handler({CALLER}, %s) as was".encode()


class Declared(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    open: bool
    """Tenants may route to it."""
    declared_by: str
    created_at_epoch: Epoch


async def listed(conn: Conn, limit: int = 50) -> list[Declared]:
    return await rows.many(await conn.execute(_LIST, (limit,)), Declared)


async def add(conn: Conn, caller: Caller, name: str, *, is_open: bool) -> bool:
    """Whether it is new. Raises Forbidden unless the caller is an operator, Invalid for a wrong name."""
    return await rows.value(await conn.execute(_ADD, (row(caller), name, is_open)), bool)


async def remove(conn: Conn, caller: Caller, name: str) -> bool:
    """Whether it was there; jobs it owes are still run. Raises Forbidden."""
    return await rows.value(await conn.execute(_REMOVE, (row(caller), name)), bool)
