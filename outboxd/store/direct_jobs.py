"""Jobs without an event, as tenants order them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_ENQUEUE = f"select job_id, duplicate from outbox.enqueue({CALLER}, %s, %s::jsonb, %s, %s)".encode()
_NEED_OPEN = b"select outbox.need_open_handler(q.handler) from outbox.queues q where q.name = %s"


class Enqueued(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    duplicate: bool
    """A living job has the unique key: this is that one."""


async def enqueue(
    conn: Conn, caller: Caller, queue: str, payload: Raw, project: UUID, options: Mapping[str, Any]
) -> Enqueued:
    """Options by their names in SQL, times as ISO 8601. Raises Invalid, Forbidden for a handler that is
    not open to tenants, NotFound, Conflict for another handler than the queue's, LimitReached, TooLarge."""
    values = (row(caller), queue, bytes(payload).decode(), project, Jsonb(options))
    made = await rows.one(await conn.execute(_ENQUEUE, values), Enqueued)
    # After it, so that nobody can bring the queue into being in between.
    await conn.execute(_NEED_OPEN, (queue,))
    return made
