"""What waits, and what is due: the questions that all loops of a process share."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

# Marks the sequencer as sleeping or not in the statement that looks anyway. A first mark is committed
# after that look, so whoever gets `newly` looks once more before it sleeps.
_POLL = b"""
with wakes as (
  delete from outbox.idle where handler = '' and worker_id = %(process)s and not %(asleep)s
), sleeps as (
  insert into outbox.idle (handler, worker_id)
  select '', %(process)s where %(asleep)s
  on conflict do nothing
  returning true
)
select p.*, outbox.clock() as now, exists (select from sleeps) as newly
from outbox.poll(%(worker)s) p
"""
_STAGE = b"select * from outbox.stage(%s, %s)"


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to do, for every loop of a process."""

    due_queues: list[int]
    """From which this worker could claim now."""
    next_due: datetime | None
    """When something becomes due by itself."""
    pending: bool
    unplaced: bool
    leases_open: bool
    to_reap: bool
    to_stage: bool
    upkeep: list[str]
    """Chores that have something to do."""
    next_tick: datetime | None
    """Of all schedules; also one that is due."""
    now: datetime
    newly: bool
    """Nobody knew before that this process sleeps."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A queue in which `n` jobs became due."""

    queue: str
    handler: str
    n: int


async def poll(conn: Conn, worker: UUID | None, process: UUID, *, asleep: bool) -> Look:
    """`worker` None: a process without one. `asleep`: its sequencer wants to be told of SQL producers."""
    cur = await conn.execute(_POLL, {"worker": worker, "process": process, "asleep": asleep})
    return await rows.one(cur, Look)


async def stage(conn: Conn, limit: int = 1000, since: datetime | None = None) -> list[Due]:
    """Moves due jobs from `later` to `ready`; `since` spares a look at what is older."""
    return await rows.many(await conn.execute(_STAGE, [limit, since]), Due)
