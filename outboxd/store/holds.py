"""Providers that want to be left alone, as all processes see them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_FAILED = b"select outbox.provider_failed(%s, %s, %s, %s) - outbox.clock() as wait"
_ANSWERED = b"select * from outbox.provider_answered(%s, %s)"
_KEYS = b"select * from outbox.note_provider_keys(%s, %s, %s) as t (provider)"
_RESUME = f"select outbox.resume_provider({CALLER}, %s) as held".encode()
_LIST = b"""
select provider, class as class_, until, holds, failures, since from outbox.provider_holds
order by provider limit 100
"""


class Open(msgspec.Struct, frozen=True, kw_only=True):
    queue: str
    handler: str


class Hold(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    provider: str
    class_: str | None = msgspec.field(name="class")
    until: datetime | None
    holds: int
    failures: int
    since: datetime | None


async def failed(
    conn: Conn, provider: str, class_: str, retry_in: timedelta | None, *, closes: bool
) -> timedelta | None:
    """How long it is held from now; None: it is not. `closes`: it is the default, so its queues close too."""
    found = await (await conn.execute(_FAILED, [provider, class_, retry_in, closes])).fetchone() or {}
    wait: timedelta | None = found.get("wait")
    return wait


async def answered(conn: Conn, provider: str, *, closes: bool) -> list[Open]:
    """Forgets what was; the queues that are open again."""
    return await rows.many(await conn.execute(_ANSWERED, [provider, closes]), Open)


async def resume(conn: Conn, caller: Caller, provider: str) -> bool:
    """Whether it was held. Raises NotFound, Forbidden."""
    return await rows.value(await conn.execute(_RESUME, [row(caller), provider]), bool)


async def keys(conn: Conn, prints: Mapping[str, str], closes: str | None) -> list[str]:
    """Remembers the prints of the providers' keys; the names whose hold ended since their key is another one.
    `closes`: the provider whose hold closes the queues."""
    asked = [list(prints), list(prints.values()), closes]
    return await rows.values(await conn.execute(_KEYS, asked), str)


async def every(conn: Conn) -> list[Hold]:
    return await rows.many(await conn.execute(_LIST), Hold)
