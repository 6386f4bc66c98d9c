"""What a recovery reads before a step, and what the step leaves behind."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

_STATE = b"""
select e.state, e.recovery_job, extract(epoch from outbox.clock())::float8 as now
from outbox.endpoints e where e.id = %s and e.project_id = %s
"""
_OWED = b"""
select o.event_id from outbox.endpoints e
cross join lateral outbox.owed_events(e, %s, %s, %s, %s) o where e.id = %s order by o.seq
"""
_STEP = b"select outbox.recover_step(%s, %s, %s, %s)"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that is being recovered."""

    state: str
    recovery_job: UUID | None
    now: float
    """The database's, in seconds since 1970."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How far a recovery is when the step is done."""

    only: str
    rate: float
    from_: float = msgspec.field(name="from")
    """When the first of its deliveries is due, in seconds since 1970."""
    position: int
    scanned: int
    percent: float


async def state(conn: Conn, endpoint: UUID, project: UUID) -> State | None:
    """None when it was deleted, or is another project's."""
    return await rows.maybe(await conn.execute(_STATE, (endpoint, project)), State)


async def owed(
    conn: Conn, endpoint: UUID, after: int, upto: int, only: str, types: Sequence[str] | None
) -> list[UUID]:
    """Events of that range of the feed that are to be delivered, in its order."""
    cur = await conn.execute(_OWED, (after, upto, only, None if types is None else list(types), endpoint))
    return await rows.values(cur, UUID)


async def take(conn: Conn, job: UUID, endpoint: UUID, events: Sequence[UUID], step: Step) -> int:
    """Makes the deliveries and remembers how far it is; in the transaction that settles the step."""
    values = (job, endpoint, list(events), Jsonb(msgspec.to_builtins(step)))
    return await rows.value(await conn.execute(_STEP, values), int)
