"""What operators say about queues: pause, resume, limits, shares."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_PAUSE = f"select outbox.pause({CALLER}, %s, %s, %s, %s)".encode()
_RESUME = f"select outbox.resume({CALLER}, %s, %s) as was".encode()
_WEIGH = f"select outbox.weigh({CALLER}, %s, %s, %s)".encode()
_CONFIGURE = f"""
select name, handler, concurrency, per_worker, lease_size, rate_per_second::float8, rate_burst, attempts,
  backoff, (extract(epoch from timeout) * 1000)::bigint as timeout_ms, on_dead
from outbox.configure_queue({CALLER}, %s, %s)
""".encode()


class Queue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A queue's settings; what is None has no limit."""

    name: str
    handler: str
    concurrency: int | None
    per_worker: int | None
    lease_size: int
    rate_per_second: float | None
    rate_burst: int | None
    attempts: int
    backoff: dict[str, Any]
    timeout_ms: int
    on_dead: str


async def pause(
    conn: Conn,
    caller: Caller,
    queue: str,
    *,
    project: UUID | None = None,
    until: datetime | None = None,
    reason: str | None = None,
) -> None:
    """The queue, or one project's share of it. Raises NotFound, Forbidden, Invalid."""
    await conn.execute(_PAUSE, (row(caller), queue, project, until, reason))


async def resume(conn: Conn, caller: Caller, queue: str, *, project: UUID | None = None) -> bool:
    """Whether it was paused. Raises NotFound, Forbidden."""
    return await rows.value(await conn.execute(_RESUME, (row(caller), queue, project)), bool)


async def weigh(conn: Conn, caller: Caller, queue: str, project: UUID, weight: int) -> None:
    """What the project gets of the queue, 1 to 100. Raises NotFound, Forbidden, Invalid."""
    await conn.execute(_WEIGH, (row(caller), queue, project, weight))


async def configure(conn: Conn, caller: Caller, queue: str, settings: Mapping[str, Any]) -> Queue:
    """Settings by their names in the API; null is the default. With `handler` a new queue is made.

    Raises NotFound, Forbidden, Invalid, Conflict when the queue has another handler.
    """
    return await rows.one(await conn.execute(_CONFIGURE, (row(caller), queue, Jsonb(settings))), Queue)
