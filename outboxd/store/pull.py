"""Workers with a key: they come for jobs, and say under a lease what became of them.

The key is judged in each statement, and with it whose lease it is; a lease that is over, unknown or another
key's raises the same LeaseLost.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller, Claimed
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_HIRE = f"select * from outbox.hire({CALLER}, %s, %s, %s, %s)".encode()
_CLAIM = f"""
select {", ".join(Claimed.__struct_fields__)}
from outbox.claim(%s, %s, outbox.own_spots(%s, %s, %s), %s)
""".encode()
_LIMIT = b"select deadline_at from outbox.leases where id = %s"
_OF_LEASE = b"""
select q.name as queue, q.handler
from outbox.leases l join outbox.queues q on q.id = l.queue_id where l.id = %s
"""
_HOLDER = f"outbox.holder({CALLER}, %s)"
_SETTLE = f"""
select job_id, accepted, state, due_at, note
from outbox.settle(outbox.holder({CALLER}, %s, %s), %s::jsonb)
""".encode()
_PROLONG = f"select until, cancelled from outbox.prolong({CALLER}, %s, %s, %s)".encode()
_RELEASE = f"select outbox.release({_HOLDER}, %s, %s, %s) as back".encode()
_REPORT = f"select outbox.report({_HOLDER}, %s, %s, %s, %s)".encode()
_PAYLOAD = f"select outbox.payload({_HOLDER}, %s, %s) as payload".encode()
_CAUSE = f"""
select c.* from outbox.leases l
join unnest(%s::uuid[]) with ordinality u(id, at) on u.id = any (l.job_ids)
cross join lateral jsonb_to_record(outbox.cause_of(u.id, outbox.clock()))
  as c(project_id uuid, request_id text, traceparent text, hops int)
where l.id = %s and l.worker_id = outbox.holder({CALLER}, %s, %s)
order by u.at limit 1
""".encode()
_WATCHED = b"""
select j.id from unnest(%s::uuid[]) u(id)
cross join lateral (select j.id from outbox.jobs j where j.id = u.id and j.watched offset 0) j
"""
_WAKES = b"delete from outbox.idle where worker_id = %s and handler = %s"
_DUE = b"select outbox.due_for(%s, %s) as at"


class Hired(msgspec.Struct, frozen=True, kw_only=True):
    """The worker of a key by a name, in front of a queue."""

    worker_id: UUID
    queue_id: int
    handler: str
    paused: bool


class Result(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    accepted: bool
    state: str | None
    due_at: datetime | None
    note: str | None


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What events that a job causes take over from it."""

    project_id: UUID
    request_id: str | None
    traceparent: str | None
    hops: int


class OfLease(msgspec.Struct, frozen=True, kw_only=True):
    queue: str
    handler: str


class Prolonged(msgspec.Struct, frozen=True, kw_only=True):
    until: datetime
    cancelled: list[UUID]


async def hire(conn: Conn, caller: Caller, name: str, queue: str, limit: int, lease: timedelta) -> Hired:
    """Raises NotFound, Forbidden for a queue that is not for such workers, LimitReached."""
    return await rows.one(await conn.execute(_HIRE, [row(caller), name, queue, limit, lease]), Hired)


async def claim(conn: Conn, worker: UUID, queue: str, limit: int, lease: timedelta) -> list[Claimed]:
    """Of that queue only, all under one lease, which ends after `lease`. At most 100."""
    cur = conn.cursor(row_factory=tuple_row)
    await cur.execute(_CLAIM, [worker, limit, worker, limit, queue, lease], binary=True)
    return [Claimed(*found) for found in await cur.fetchall()]


async def limit_of(conn: Conn, worker: UUID, lease: UUID) -> datetime:
    """When a lease that was just claimed runs out."""
    return await rows.value(await conn.execute(_LIMIT, [lease]), datetime)


async def of_lease(conn: Conn, caller: Caller, lease: UUID) -> OfLease | None:
    """What it is counted under; None when it is over. Told to nobody."""
    return await rows.maybe(await conn.execute(_OF_LEASE, [lease]), OfLease)


async def settle(
    conn: Conn, caller: Caller, lease: UUID, jobs: Sequence[UUID], results: bytes
) -> dict[UUID, Result]:
    """What became of each, by its id; `results` is the JSON array of `outbox.settle` about `jobs`."""
    cur = await conn.execute(_SETTLE, [row(caller), lease, list(jobs), results.decode()])
    return {each.job_id: each for each in await rows.many(cur, Result)}


async def cause(conn: Conn, caller: Caller, lease: UUID, jobs: Sequence[UUID]) -> Cause | None:
    """Of the first of the jobs that the lease holds; None when it holds none, but has ended some."""
    ids = list(jobs)
    return await rows.maybe(await conn.execute(_CAUSE, [ids, lease, row(caller), lease, ids]), Cause)


async def watched(conn: Conn, caller: Caller, ended: Iterable[UUID]) -> list[UUID]:
    """Those for whose end somebody waits."""
    return await rows.values(await conn.execute(_WATCHED, [list(ended)]), UUID)


async def prolong(
    conn: Conn, caller: Caller, lease: UUID, by: timedelta, jobs: Iterable[UUID] | None
) -> Prolonged:
    """Its new time limit, `by` from now, and which of its jobs (of those named) were cancelled."""
    ids = None if jobs is None else list(jobs)
    return await rows.one(await conn.execute(_PROLONG, [row(caller), lease, by, ids]), Prolonged)


async def release(
    conn: Conn, caller: Caller, lease: UUID, jobs: Iterable[UUID] | None = None, reason: str = "released"
) -> int:
    """How many went back unspent; all of the lease when `jobs` is None."""
    ids = None if jobs is None else list(jobs)
    return await rows.value(await conn.execute(_RELEASE, [row(caller), lease, lease, ids, reason]), int)


async def report(
    conn: Conn, caller: Caller, lease: UUID, job: UUID, *, progress: Raw | None, checkpoint: Raw | None
) -> None:
    """None leaves what was said before. Raises TooLarge, Invalid."""
    said = [None if part is None else Jsonb(part, dumps=bytes) for part in (progress, checkpoint)]
    await conn.execute(_REPORT, [row(caller), lease, lease, job, *said])


async def payload(conn: Conn, caller: Caller, lease: UUID, job: UUID) -> Raw:
    """Of any size."""
    return await rows.value(await conn.execute(_PAYLOAD, [row(caller), lease, lease, job]), Raw)


async def wakes(conn: Conn, worker: UUID, handler: str) -> None:
    """It waits no longer for such jobs: hints would be in vain. The contrary is `workers.sleeps`."""
    await conn.execute(_WAKES, [worker, handler])


async def due(conn: Conn, worker: Sequence[UUID], queues: Sequence[int]) -> list[int]:
    """Indexes of those pairs for which something is due now."""
    found = await rows.values(await conn.execute(_DUE, [list(worker), list(queues)]), int)
    return [at - 1 for at in found]
