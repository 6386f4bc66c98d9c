"""What a worker says about jobs: look, claim, settle, and the words in between.

Rows of a claim come in binary and go straight into structs: a worker decodes thousands a second.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Claimed

Conn = AsyncConnection[dict[str, Any]]

# The queue's own columns come along, so that a worker asks for no more than it may have.
_LOOK = b"""
select s.queue_id, s.lane, s.priority, s.run_at, s.want, q.name, q.handler, q.lease_size
from outbox.look(%s, null, %s::outbox.spot, %s) s
join outbox.queues q on q.id = s.queue_id
"""
_CLAIM = f"""
select {", ".join(Claimed.__struct_fields__)} from outbox.claim(%s, %s, %s::outbox.spot[])
""".encode()
# What was accepted, and ended as it was said, is no news.
_SETTLE = b"""
select job_id, lease_id, accepted, state, due_at, note
from outbox.settle(%s, %s::jsonb) where note is not null or state is distinct from 'completed'
"""
_FENCE = b"select outbox.fence(%s, %s, %s) as held"
_EXTEND = b"select outbox.extend(%s, %s, %s, %s) as until"
_RELEASE = b"select outbox.release(%s, %s, %s, %s) as back"
# Claims whose answer was lost: ours by their rows, and nobody runs them.
_RELEASE_OTHERS = b"""
select coalesce(sum(outbox.release(l.worker_id, l.id, null, 'unanswered')), 0)::int as back
from (select l.id, l.worker_id from outbox.leases l
  where l.worker_id = %s and not l.id = any (%s) order by l.id) l
"""
_REPORT = b"select outbox.report(%s, %s, %s, %s, %s)"
_PAYLOAD = b"select outbox.payload(%s, %s, %s) as payload"
_REAP = b"select * from outbox.reap(%s)"
_EXPIRE = b"select outbox.expire(%s) as ended"
_PUBLISH = b"select * from outbox.publish_caused(%s, %s, %s, %s::jsonb)"

LOOK_PAGE = 200
SETTLE_MOST = 500
CLAIM_MOST = 500


class Spot(msgspec.Struct, frozen=True):
    """A share with due work: where in `ready` it stands, and what its queue allows."""

    queue_id: int
    lane: int
    """> 0: a project's share; 0: all keyed lanes of the queue."""
    priority: int
    """As stored: lower is more urgent."""
    run_at: datetime
    weight: int
    queue: str
    handler: str
    lease_size: int


class Want(msgspec.Struct, frozen=True):
    """`outbox.spot`: take `n` there, from (priority, run_at) on."""

    queue_id: int
    lane: int
    priority: int
    run_at: datetime
    n: int


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a result, where it is news."""

    job_id: UUID
    lease_id: UUID
    accepted: bool
    state: str | None
    due_at: datetime | None
    note: str | None
    """`repeated`, `lease_over`, `not_in_lease`."""


class Rescued(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    lease_id: UUID
    worker_id: UUID
    state: str


class Published(msgspec.Struct, frozen=True, kw_only=True):
    event_id: UUID
    project_id: UUID
    jobs: list[dict[str, Any]]
    """{id, queue, handler, due} of each job that it made."""


async def look(conn: Conn, worker: UUID, after: Spot | None = None, limit: int = LOOK_PAGE) -> list[Spot]:
    """Where due work stands that the worker may claim, at most `limit` places, from `after` on."""
    start = None if after is None else _spot(after.queue_id, after.lane, after.priority, after.run_at, 0)
    cur = conn.cursor(row_factory=tuple_row)
    await cur.execute(_LOOK, [worker, start, limit], binary=True)
    return [Spot(*row) for row in await cur.fetchall()]


async def claim(conn: Conn, worker: UUID, limit: int, wants: Sequence[Want]) -> list[Claimed]:
    """Leased to the worker from the commit on. Raises LeaseLost when the worker is fenced."""
    spots = [_spot(want.queue_id, want.lane, want.priority, want.run_at, want.n) for want in wants]
    cur = conn.cursor(row_factory=tuple_row)
    await cur.execute(_CLAIM, [worker, limit, spots], binary=True)
    return [Claimed(*row) for row in await cur.fetchall()]


async def settle(conn: Conn, worker: UUID, results: bytes) -> list[Settled]:
    """`results` is the JSON array of `outbox.settle`. Only what is news comes back: whatever did not
    simply complete. Raises Invalid when one of them cannot be stored; then none is."""
    cur = await conn.execute(_SETTLE, [worker, results.decode()])
    return await rows.many(cur, Settled)


async def fence(conn: Conn, worker: UUID, lease: UUID, job: UUID) -> bool:
    """Whether the job is still ours; locks the lease until the transaction ends."""
    return await rows.value(await conn.execute(_FENCE, [worker, lease, job]), bool)


async def extend(
    conn: Conn, worker: UUID, lease: UUID, by: timedelta, jobs: Iterable[UUID] | None = None
) -> datetime:
    """The lease's new deadline, `by` from now; 1 s to 24 h. Raises LeaseLost."""
    ids = None if jobs is None else list(jobs)
    return await rows.value(await conn.execute(_EXTEND, [worker, lease, by, ids]), datetime)


async def release(
    conn: Conn, worker: UUID, lease: UUID, jobs: Iterable[UUID] | None = None, reason: str = "released"
) -> int:
    """How many went back unspent, to where they stood; all of the lease when `jobs` is None."""
    ids = None if jobs is None else list(jobs)
    return await rows.value(await conn.execute(_RELEASE, [worker, lease, ids, reason]), int)


async def release_others(conn: Conn, worker: UUID, known: Iterable[UUID]) -> int:
    """Gives back what the worker holds without knowing; `known` are the leases it knows of."""
    return await rows.value(await conn.execute(_RELEASE_OTHERS, [worker, list(known)]), int)


async def report(
    conn: Conn, worker: UUID, lease: UUID, job: UUID, *, progress: bytes | None, checkpoint: bytes | None
) -> None:
    """Both JSON; None leaves what was said before. Raises LeaseLost, TooLarge."""
    said = [None if part is None else Jsonb(part, dumps=_as_it_is) for part in (progress, checkpoint)]
    await conn.execute(_REPORT, [worker, lease, job, *said])


async def payload(conn: Conn, worker: UUID, lease: UUID, job: UUID) -> msgspec.Raw:
    """Of any size. Raises LeaseLost."""
    return await rows.value(await conn.execute(_PAYLOAD, [worker, lease, job]), msgspec.Raw)


async def publish(conn: Conn, worker: UUID, lease: UUID, job: UUID, events: bytes) -> list[Published]:
    """Events caused by a job that the worker holds: a JSON array of at most 100, all or none."""
    return await rows.many(await conn.execute(_PUBLISH, [worker, lease, job, events.decode()]), Published)


async def reap(conn: Conn, limit: int = 20) -> list[Rescued]:
    """Fences dead workers and takes back what they held, `limit` leases at most."""
    return await rows.many(await conn.execute(_REAP, [limit]), Rescued)


async def expire(conn: Conn, limit: int = 1000) -> int:
    """How many jobs that nobody claimed in time were ended."""
    return await rows.value(await conn.execute(_EXPIRE, [limit]), int)


def _spot(queue_id: int, lane: int, priority: int, run_at: datetime, want: int) -> str:
    """A composite's text; nothing in it needs quoting."""
    return f"({queue_id},{lane},{priority},{run_at.isoformat()},{want})"


def _as_it_is(encoded: bytes) -> bytes:
    return encoded
