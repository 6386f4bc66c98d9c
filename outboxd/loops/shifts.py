"""One enlistment of a worker: from its row in `workers` until it is fenced or retired.

    enlisted ─▶ beats, claims, runs, settles ─┬─ fenced ──▶ handlers cancelled, buffer dropped
                                              └─ drained ─▶ released, flushed, retired

Everything that is said to the database in a shift carries its worker's id, so what a fenced shift
still says is refused there, whatever happens here.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.loops import ends, finishing
from outboxd.loops.claiming import Claimer
from outboxd.loops.meters import Meters
from outboxd.loops.running import Execution
from outboxd.loops.settling import Item, Settler
from outboxd.loops.slots import Slots
from outboxd.loops.spots import Spots
from outboxd.loops.threads import Threads
from outboxd.loops.together import Parties
from outboxd.loops.wakes import Wakes
from outboxd.model import Claimed
from outboxd.model.contract import Ended, Handler
from outboxd.store import jobs
from outboxd.store.jobs import Settled

log = structlog.get_logger()

_GRACE = 30.0
_LONGEST = 24 * 3600.0
THREADS = "threads"
WRITERS = "writers"


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has, for all its shifts."""

    db: Database
    wakes: Wakes
    handlers: dict[str, Handler]
    """Grows when an operator declares another one."""
    slots: Slots
    threads: Threads
    writers: asyncio.Semaphore
    """Transactions with writes at once, so that claims and settles find a connection."""

    def group(self, handler: str) -> str:
        """What its jobs need besides a slot."""
        known = self.handlers.get(handler)
        if known is None:
            return ""
        return THREADS if known.blocking else WRITERS if known.inside is not None else ""


class Shift:
    """Executions belong to it, and it is what they speak through."""

    def __init__(self, means: Means, worker: UUID) -> None:
        self.worker = worker
        self.threads = means.threads
        self.live: dict[UUID, Execution] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        """Of executions and of what they say. No TaskGroup: that waits for ever for a handler that
        does not end."""
        self.fenced = asyncio.Event()
        self.draining = False
        self.fault: BaseException | None = None
        """A defect of ours, found in a task that nobody awaits."""
        self._means = means
        self.loop = asyncio.get_running_loop()
        self._meters = Meters()
        self._cancelled_early: set[UUID] = set()
        self.settler = Settler(means.db, worker, self._meters, self._settled)
        self._parties = Parties(means.db, worker, means.writers, self._told, self.spawn)
        self.claimer = Claimer(
            means.db,
            worker,
            means.wakes,
            means.slots,
            self.settler,
            Spots(means.group),
            handlers=means.handlers,
            begin=self.begin,
            known=self.leases,
        )

    # What liveness says, from its threads.

    def fence(self, why: str) -> None:
        """Threads see it now, the loop as soon as it gets to it."""
        for execution in tuple(self.live.values()):
            execution.token.set("lease_lost")
        self.loop.call_soon_threadsafe(self.fence_now)

    def cancelled(self, ids: Iterable[UUID]) -> None:
        for job in ids:
            execution = self.live.get(job)
            if execution is not None:
                execution.token.set("cancelled")
        self.loop.call_soon_threadsafe(self._cancel, tuple(ids))

    def fence_now(self) -> None:
        self.fenced.set()
        for execution in tuple(self.live.values()):
            execution.token.set("lease_lost")
            execution.abandon()

    # What the claimer does.

    def begin(self, claimed: Sequence[Claimed]) -> None:
        """Starts each; while draining, gives them back as they were."""
        if self.draining:
            for lease in {job.lease_id for job in claimed}:
                self.spawn(self._give_back(lease))
            return
        for job in claimed:
            execution = Execution(job, self._means.handlers[job.handler], self)
            self.live[job.job_id] = execution
            self._means.slots.take(self._means.group(job.handler))
            execution.start()
            self.tasks.add(execution.task)
            if job.job_id in self._cancelled_early:
                execution.stop("cancelled")
        self._cancelled_early.clear()

    def leases(self) -> set[UUID]:
        """Of everything that is not settled yet."""
        return self.settler.leases() | {execution.claimed.lease_id for execution in self.live.values()}

    # What executions say.

    async def payload(self, claimed: Claimed) -> msgspec.Raw:
        async with self._means.db.connection() as conn:
            return await jobs.payload(conn, self.worker, claimed.lease_id, claimed.job_id)

    async def report(self, claimed: Claimed, progress: bytes | None, checkpoint: bytes | None) -> None:
        async with self._means.db.connection() as conn:
            await jobs.report(
                conn, self.worker, claimed.lease_id, claimed.job_id, progress=progress, checkpoint=checkpoint
            )

    async def extend(self, execution: Execution) -> None:
        """The lease lasts as long as the longest of its jobs: one must not shorten another's."""
        lease = execution.claimed.lease_id
        siblings = [other.until for other in self.live.values() if other.claimed.lease_id == lease]
        longest = max(execution.until, *siblings) - self.loop.time()
        async with self._means.db.connection() as conn:
            await jobs.extend(conn, self.worker, lease, _lasting(longest), [execution.claimed.job_id])

    async def finish(self, claimed: Claimed, handler: Handler, ended: Ended, ms: int) -> Ended | None:
        """Writes and settles at once; what to say when the handler's part of it failed."""
        if ended.company is not None:
            return await self._parties.finish(ended.company, claimed, ended, ms)
        async with self._means.writers:
            try:
                done = await finishing.finish(self._means.db, self.worker, claimed, handler, ended, ms)
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as raised:  # noqa: BLE001  whatever a write raises is its job's end
                return ends.of_error(raised)
        for said in done.said:
            self._told([Item(claimed, ended.outcome, ms, said)], done.settled)
        if done.said and ended.written is not None and all(told.accepted for told in done.settled):
            ended.written()
        made = {job["queue"]: job["handler"] for event in done.published for job in event.jobs if job["due"]}
        if done.published:
            self._means.wakes.committed(made, [event.project_id for event in done.published])
        return None

    def _told(self, items: Sequence[Item], settled: Sequence[Settled]) -> None:
        self._settled(self._meters.settled(items, settled))

    def say(self, claimed: Claimed, ended: Ended, ms: int) -> None:
        self.settler.put(claimed, ended, ms)

    def gone(self, execution: Execution) -> None:
        job = execution.claimed
        self.tasks.discard(execution.task)
        self._means.slots.give(self._means.group(job.handler))
        if self.live.get(job.job_id) is execution:
            del self.live[job.job_id]
        if self.claimer.contended():
            self._means.wakes.queues.wake((job.queue,))

    def broke(self, fault: BaseException) -> None:
        """Ends the shift, and the worker with it."""
        self.fault = fault
        self.fenced.set()

    def spawn(self, said: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(said)
        self.tasks.add(task)
        task.add_done_callback(self._said)

    def _said(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        fault = None if task.cancelled() else task.exception()
        if isinstance(fault, Error):
            log.warning("not said", code=fault.code)
        elif fault is not None:
            self.broke(fault)

    def _settled(self, items: Sequence[Item]) -> None:
        """Whoever waits for these jobs, and the lanes behind them, hear of it."""
        watched = [item.claimed.job_id for item in items if item.claimed.watched]
        lanes = {item.claimed.queue: item.claimed.handler for item in items if item.claimed.lane < 0}
        if watched or (lanes and self._means.slots.free == 0):
            self._means.wakes.committed(lanes, jobs=watched)
        elif lanes:
            self._means.wakes.queues.wake(lanes)
        elif items and self.claimer.contended():
            self._means.wakes.queues.wake((items[0].claimed.queue,))

    def _cancel(self, ids: Sequence[UUID]) -> None:
        for job in ids:
            execution = self.live.get(job)
            if execution is not None:
                execution.stop("cancelled")
            elif self.claimer.claiming:
                # Perhaps claimed a moment ago, in an answer that is still on its way.
                self._cancelled_early.add(job)

    async def _give_back(self, lease: UUID) -> None:
        async with self._means.db.connection() as conn:
            await jobs.release(conn, self.worker, lease, None, "draining")


def _lasting(seconds: float) -> timedelta:
    """How long a lease is asked for when its last job ends in so many seconds: as at the claim, and some."""
    return timedelta(seconds=min(max(seconds, 0.0) + _GRACE, _LONGEST))
