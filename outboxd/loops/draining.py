"""How a worker stops: what runs may end, what cannot goes back, and nothing is claimed any more.

    no more claims ─▶ running jobs get their time ─▶ token `shutdown`, 5 s ─▶ released ─▶ flushed ─▶ retired
                                └──── hurry ─────────────────┴─▶ (≤ 2 s for all of the rest)

A job that has begun and may be tried only once cannot go back: it ends as failed, class `interrupted`.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog

from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.loops import ends
from outboxd.loops.running import Execution
from outboxd.loops.shifts import Shift
from outboxd.store import jobs, workers

log = structlog.get_logger()

_LAST_WORDS = 5.0
_TO_THE_DATABASE = 5.0
_HURRIED = 2.0
_CLEAN_UP = 0.5


async def drain(shift: Shift, db: Database, patience: timedelta, hurry: asyncio.Event) -> None:
    """Leaves nothing of ours in the database, if the database can be told."""
    log.info("worker drains", worker=str(shift.worker), running=len(shift.live))
    shift.draining = True
    await shift.claimer.stop()
    with suppress(Error):
        async with db.connection() as conn:
            await workers.draining(conn, shift.worker)
    if not await _ended(shift, patience.total_seconds(), hurry):
        for execution in tuple(shift.live.values()):
            execution.stop("shutdown")
        await _ended(shift, _LAST_WORDS, hurry)
    left = [execution for execution in tuple(shift.live.values()) if execution.abandon()]
    await _ended(shift, _CLEAN_UP, asyncio.Event())
    try:
        async with asyncio.timeout(_HURRIED if hurry.is_set() else _TO_THE_DATABASE):
            await _part(shift, db, left)
    except (TimeoutError, Error):
        log.warning("worker left its jobs to the rescue", worker=str(shift.worker), jobs=len(left))


async def _ended(shift: Shift, seconds: float, hurry: asyncio.Event) -> bool:
    """Whether everything has ended, waited for until then or until somebody is in a hurry."""
    hurried = asyncio.create_task(hurry.wait())
    try:
        deadline = asyncio.get_running_loop().time() + seconds
        while shift.tasks and not hurried.done() and not shift.fenced.is_set():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await asyncio.wait({hurried, *shift.tasks}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurried.cancel()
    return not shift.tasks


async def _part(shift: Shift, db: Database, left: Collection[Execution]) -> None:
    leases: dict[UUID, list[UUID]] = {}
    for execution in left:
        job = execution.claimed
        if job.max_attempts == 1:
            shift.say(job, ends.INTERRUPTED, execution.ms)
        else:
            leases.setdefault(job.lease_id, []).append(job.job_id)
    await shift.settler.flushed()
    async with db.connection() as conn:
        for lease, ids in leases.items():
            await jobs.release(conn, shift.worker, lease, ids, "shutdown")
        back = await workers.retire(conn, shift.worker)
    log.info("worker retired", worker=str(shift.worker), released=sum(map(len, leases.values())) + back)
