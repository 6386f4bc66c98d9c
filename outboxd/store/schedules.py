"""Schedules. Whoever writes one has computed its next tick from what it read in the same transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.model.schedules import Missed, Schedule
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_SHOWN = f"""
select s.id, s.team_id, s.project_id, s.name, s.cron, s.timezone, s.type, s.payload, s.subject,
  s.ordering_key, s.enabled, s.missed, s.missed_cap, outbox.ms(s.starts_at) as starts_at_epoch,
  outbox.ms(s.ends_at) as ends_at_epoch, s.state, s.reason,
  case when s.state = 'active' then outbox.ms(s.next_at) end as next_at_epoch,
  outbox.ms(s.last_tick) as last_tick_epoch, s.revision, s.key_id, s.actor,
  outbox.ms(s.created_at) as created_at_epoch, outbox.ms(s.updated_at) as updated_at_epoch
from outbox.schedules s
where outbox.sees({CALLER}, s.team_id, s.project_id)
"""
_GET = f"{_SHOWN} and s.id = %s".encode()
_NAMED = (
    f"{_SHOWN} and s.name = %s and (%s::uuid is null or s.project_id = %s) order by s.id limit 2".encode()
)
_LIST = f"""
{_SHOWN} and (%s::uuid is null or s.project_id = %s) and (%s::uuid is null or s.id < %s)
order by s.id desc limit %s
""".encode()
_NOW = b"select date_trunc('milliseconds', outbox.clock()) as now"
_LOCK = f"select (outbox.lock_schedule({CALLER}, %s, %s)).next_at".encode()
_ADD = f"select outbox.add_schedule({CALLER}, %s, %s, %s, %s)".encode()
_CHANGE = f"select outbox.change_schedule({CALLER}, %s, %s, %s)".encode()
_DISABLE = f"select outbox.disable_schedule({CALLER}, %s)".encode()
_REMOVE = f"select outbox.remove_schedule({CALLER}, %s, %s)".encode()
_RUN = f"select outbox.run_schedule({CALLER}, %s)".encode()
_DUE = b"""
select s.id, s.project_id, s.cron, s.timezone, s.missed, s.missed_cap, s.ends_at, s.next_at, s.created_at,
  outbox.clock() as now
from outbox.due_schedule(%s) s
"""
_TICK = b"""
select outbox.tick(%s, u.tick, u.next, u.missed) as event
from unnest(%s::timestamptz[], %s::timestamptz[], %s::int[]) u (tick, next, missed)
"""
_SUSPEND = b"select outbox.suspend_schedule(s, %s) from outbox.schedules s where s.id = %s"
_OWED = b"""
select distinct q.name as queue, q.handler from unnest(%s::uuid[]) u (event)
cross join lateral (select j.queue_id from outbox.jobs j where j.event_id = u.event
  and j.id >= outbox.uuid7_floor(outbox.uuid7_time(u.event)) offset 0) j
join outbox.queues q on q.id = j.queue_id
"""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """One whose tick has come, held by this transaction."""

    id: UUID
    project_id: UUID
    cron: str
    timezone: str
    missed: Missed
    missed_cap: int
    ends_at: datetime | None
    next_at: datetime
    created_at: datetime
    now: datetime
    """By the database's clock."""


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime | None
    """None: nothing is published."""
    next: datetime | None
    """None: no other is to come."""
    missed: int


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    queue: str
    handler: str


async def listed(
    conn: Conn, caller: Caller, *, project: UUID | None = None, after: UUID | None = None, limit: int = 50
) -> list[Schedule]:
    """Newest first."""
    values = (row(caller), project, project, after, after, limit)
    return await rows.many(await conn.execute(_LIST, values), Schedule)


async def get(conn: Conn, caller: Caller, schedule: UUID) -> Schedule | None:
    return await rows.maybe(await conn.execute(_GET, (row(caller), schedule)), Schedule)


async def named(conn: Conn, caller: Caller, name: str, project: UUID | None) -> list[Schedule]:
    """Those of that name, two at most."""
    values = (row(caller), name, project, project)
    return await rows.many(await conn.execute(_NAMED, values), Schedule)


async def now(conn: Conn) -> datetime:
    """By the database's clock, in whole milliseconds, as replies show it."""
    return await rows.value(await conn.execute(_NOW), datetime)


async def lock(conn: Conn, caller: Caller, schedule: UUID, revision: int | None = None) -> datetime | None:
    """Nobody else changes or fires it until this transaction ends; its next tick, also one that is due.

    Raises NotFound, and PreconditionFailed when it is at another revision.
    """
    found = await (await conn.execute(_LOCK, (row(caller), schedule, revision))).fetchone()
    return found["next_at"] if found else None


async def add(
    conn: Conn,
    caller: Caller,
    project: UUID,
    fields: Mapping[str, Any],
    at: datetime,
    next_at: datetime | None,
) -> UUID:
    """`fields`: columns; `at`: `now` of this transaction.

    Raises Invalid, NotFound, Conflict, LimitReached.
    """
    values = (row(caller), project, Jsonb(fields, dumps=_dumped), at, next_at)
    return await rows.value(await conn.execute(_ADD, values), UUID)


async def change(
    conn: Conn, caller: Caller, schedule: UUID, fields: Mapping[str, Any], next_at: datetime | None
) -> None:
    """All of its fields, as columns. Raises Invalid, NotFound, Conflict."""
    values = (row(caller), schedule, Jsonb(fields, dumps=_dumped), next_at)
    await conn.execute(_CHANGE, values)


async def disable(conn: Conn, caller: Caller, schedule: UUID) -> bool:
    """Whether it was enabled. Raises NotFound."""
    return await rows.value(await conn.execute(_DISABLE, (row(caller), schedule)), bool)


async def remove(conn: Conn, caller: Caller, schedule: UUID, revision: int | None = None) -> None:
    """Raises NotFound, PreconditionFailed."""
    await conn.execute(_REMOVE, (row(caller), schedule, revision))


async def run(conn: Conn, caller: Caller, schedule: UUID) -> UUID:
    """The event that it published now. Raises NotFound, ProjectArchived."""
    return await rows.value(await conn.execute(_RUN, (row(caller), schedule)), UUID)


async def due(conn: Conn, without: Collection[UUID] = ()) -> Due | None:
    """The one that is due the longest and that nobody holds; from here on this transaction does."""
    return await rows.maybe(await conn.execute(_DUE, (list(without),)), Due)


async def tick(conn: Conn, schedule: UUID, ticks: Sequence[Tick]) -> list[UUID]:
    """The events of these ticks, oldest first; of a schedule that may not publish any more none."""
    columns = ([each.at for each in ticks], [each.next for each in ticks], [each.missed for each in ticks])
    found = await (await conn.execute(_TICK, (schedule, *columns))).fetchall()
    return [each["event"] for each in found if each["event"] is not None]


async def suspend(conn: Conn, schedule: UUID, reason: str) -> None:
    await conn.execute(_SUSPEND, (reason, schedule))


async def owed(conn: Conn, events: Sequence[UUID]) -> list[Owed]:
    """The queues in which these events, published in this transaction, have jobs."""
    return await rows.many(await conn.execute(_OWED, (list(events),)), Owed)


def _dumped(value: Any) -> bytes:
    return msgspec.json.encode(value)
