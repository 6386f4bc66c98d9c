"""An end that comes with writes: they and the end of the job are one transaction.

    begin ─▶ fence ─▶ handler's writes ─▶ events ─▶ settle ─▶ commit
              │ not ours: roll back         raised: roll back, the job failed
              └ the connection was lost: the whole again, the handler is not

The fence locks the lease row, so nobody can rescue or cancel the job between its writes and its end;
a job that was rescued or cancelled before finds the fence closed, and its writes roll back. When the
answer of the COMMIT is lost, the fence is closed the next time, and `settle` knows from the ledger
whether it was us. Nothing but Postgres is awaited while the transaction is open.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg
import structlog

from outboxd.db.faults import Contention
from outboxd.db.pool import Database
from outboxd.errors import DatabaseUnavailable, Invalid, Unavailable
from outboxd.loops import ends
from outboxd.model import Claimed
from outboxd.model.contract import Ended, Handler
from outboxd.store import jobs
from outboxd.store.jobs import Published, Settled

log = structlog.get_logger()

MOST_EVENTS = 100
WRITE = timedelta(seconds=10)
INSIDE = timedelta(seconds=60)
_CONTENTIONS = 3
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

T = TypeVar("T")


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What the transaction did."""

    settled: Sequence[Settled] = ()
    published: Sequence[Published] = ()
    said: Sequence[bytes] = ()
    """The ends that were said, encoded."""


class NotOursError(Exception):
    """The lease no longer holds the job: whatever was written rolls back."""


async def finish(
    db: Database, worker: UUID, claimed: Claimed, handler: Handler, ended: Ended, ms: int
) -> Finished:
    """Writes and settles, as often as it takes to know. Raises what the handler's part raised."""
    done = await insist(
        claimed.job_id,
        once=lambda: _once(db, worker, claimed, handler, ended, ms),
        again=lambda: _again(db, worker, claimed, ended, ms),
    )
    return done or Finished()


async def insist(
    job: UUID, *, once: Callable[[], Awaitable[T]], again: Callable[[], Awaitable[T]]
) -> T | None:
    """Repeats `once` while the database is away; a fence that closed meanwhile asks `again`. None: it was
    never ours."""
    pause, contentions, before = _FIRST_PAUSE, 0, False
    while True:
        try:
            return await once()
        except NotOursError:
            # Perhaps because we settled it, and the answer was lost.
            return await again() if before else None
        except Contention:
            contentions += 1
            if contentions > _CONTENTIONS:
                raise
        except DatabaseUnavailable as away:
            log.warning("settle with writes failed", code=away.code, job=str(job))
        before = True
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  jitter, no secret
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _once(
    db: Database, worker: UUID, claimed: Claimed, handler: Handler, ended: Ended, ms: int
) -> Finished:
    lease, job = claimed.lease_id, claimed.job_id
    limit = min(claimed.timeout, INSIDE) if handler.inside is not None else WRITE
    async with db.transaction(limit) as conn:
        if not await jobs.fence(conn, worker, lease, job):
            raise NotOursError
        async with asyncio.timeout(limit.total_seconds()):
            ended = await _write(conn, claimed, handler, ended)
        published = await _publish(conn, worker, claimed, ended.publish) if ended.publish else ()
        said = ends.said(lease, job, ended, ms)
        settled = await jobs.settle(conn, worker, b"[" + said + b"]")
        if any(not told.accepted for told in settled):
            raise NotOursError
    return Finished(settled=settled, published=published, said=(said,))


async def _write(conn: Any, claimed: Claimed, handler: Handler, ended: Ended) -> Ended:
    if handler.inside is not None:
        output = await patiently(handler.inside(conn, claimed))
        return msgspec.structs.replace(ended, output=output)
    if ended.write is not None:
        await patiently(ended.write(conn))
    return ended


async def patiently(write: Awaitable[T]) -> T:
    """What a handler writes; a statement of its that took too long is no fault of the database, so it is
    not to be repeated here."""
    try:
        return await write
    except psycopg.errors.QueryCanceled as slow:
        raise TimeoutError("a statement of the handler took too long") from slow


async def _publish(
    conn: Any, worker: UUID, claimed: Claimed, events: Sequence[dict[str, Any]]
) -> Sequence[Published]:
    if len(events) > MOST_EVENTS:
        raise Invalid(f"publish: at most {MOST_EVENTS} events, not {len(events)}")
    try:
        encoded = msgspec.json.encode(events)
    except (TypeError, ValueError, RecursionError, OverflowError) as wrong:
        raise Invalid("publish: events are JSON") from wrong
    return await jobs.publish(conn, worker, claimed.lease_id, claimed.job_id, encoded)


async def _again(db: Database, worker: UUID, claimed: Claimed, ended: Ended, ms: int) -> Finished:
    said = (ends.said(claimed.lease_id, claimed.job_id, ended, ms),)
    return Finished(settled=await once_more(db, worker, said), said=said)


async def once_more(db: Database, worker: UUID, said: Sequence[bytes]) -> Sequence[Settled]:
    """Says ends again, without the writes: `repeated` if that transaction was committed."""
    while True:
        try:
            async with db.connection() as conn:
                return await jobs.settle(conn, worker, b"[" + b",".join(said) + b"]")
        except Unavailable:
            await asyncio.sleep(_LONGEST_PAUSE)
