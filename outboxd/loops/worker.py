"""The worker: enlists, works a shift until it is fenced, enlists anew; drains when told to stop.

A process runs one. Several processes, or pods, are the same program and meet in Postgres.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from psycopg import AsyncConnection

from outboxd import telemetry
from outboxd.db.hints import Hint
from outboxd.db.listen import Listener, Lock
from outboxd.db.pool import Database
from outboxd.errors import Error, LeaseLost, Refused, Unavailable
from outboxd.loops import liveness
from outboxd.loops.draining import drain
from outboxd.loops.liveness import Liveness
from outboxd.loops.running import Execution
from outboxd.loops.shifts import THREADS, WRITERS, Means, Shift
from outboxd.loops.slots import Slots
from outboxd.loops.threads import Threads
from outboxd.loops.wakes import Wakes
from outboxd.model.contract import Handler
from outboxd.store import workers
from outboxd.store.workers import Enlisted, Offer

log = structlog.get_logger()

Conn = AsyncConnection[dict[str, Any]]
Declared = Callable[[Conn], Awaitable[Sequence[Handler]]]

_AWAY = (0.1, 3.0)
_LEARN_EVERY = 300.0
_GOODBYE = 1.0


class Worker:
    """`run()` it in a task of its own."""

    def __init__(
        self,
        db: Database,
        wakes: Wakes,
        handlers: Mapping[str, Handler],
        offer: Offer,
        *,
        dsn: str,
        listener: Listener | None = None,
        threads: int = 10,
        writers: int = 4,
        queues: Mapping[str, str] | None = None,
        declared: Declared | None = None,
        drain: timedelta = timedelta(seconds=30),
        net_timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        """`dsn` is where the beat connects. `writers`: transactions with handlers' writes at once,
        fewer than the pool has connections. What `offer` says of handlers is taken from `handlers`.
        `queues` (queue → handler) are made when it enlists; `declared` is asked for handlers that an
        operator may add while it runs."""
        self._means = Means(
            db=db,
            wakes=wakes,
            handlers=dict(handlers),
            slots=Slots(offer.slots, {THREADS: threads, WRITERS: writers}),
            threads=Threads(threads),
            writers=asyncio.Semaphore(writers),
        )
        self._offered = offer
        self._queues = dict(queues or {})
        self._declared = declared
        self._dsn = dsn
        self._listener = listener
        self._drain = drain
        self._net_timeout = net_timeout
        self._shift: Shift | None = None
        self._alive: Liveness | None = None
        self._unknown = asyncio.Event()
        self._left: set[asyncio.Task[Any]] = set()
        """What outlived its shift: threads that still run, statements that a dead network swallowed."""

    @property
    def worker_id(self) -> UUID | None:
        """Of the shift that is on; None between two."""
        return None if self._shift is None else self._shift.worker

    @property
    def beat_age(self) -> float | None:
        """Seconds since the last beat that was answered was sent; None between two shifts."""
        return None if self._alive is None else self._alive.age

    @property
    def beating(self) -> bool:
        """False when the threads that keep the leases of this shift have broken."""
        return self._alive is None or self._alive.lives

    @property
    def handlers(self) -> Collection[str]:
        """What it knows to do."""
        return self._means.handlers.keys()

    @property
    def live(self) -> Collection[Execution]:
        """What runs here."""
        return () if self._shift is None else tuple(self._shift.live.values())

    @property
    def unsettled(self) -> int:
        return 0 if self._shift is None else self._shift.settler.waiting

    @property
    def running(self) -> int:
        return self._means.slots.busy

    def learn(self) -> None:
        """A handler was declared that it does not know."""
        self._unknown.set()

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Until `stop` is set and everything is put away; `hurry` makes that short."""
        unsubscribe = self._listener.subscribe(self._heard) if self._listener else lambda: None
        try:
            while not stop.is_set():
                enlisted = await self._enlist(stop)
                if enlisted is not None:
                    await self._work(*enlisted, stop, hurry)
        finally:
            unsubscribe()
            self._means.threads.close()
            await _put_away(self._left)

    async def _enlist(self, stop: asyncio.Event) -> tuple[Enlisted, float] | None:
        """A new worker's row and when it was asked for, as soon as the database is there."""
        pause = _AWAY[0]
        while not stop.is_set():
            asked_at = liveness.now()
            try:
                async with self._means.db.connection() as conn:
                    await self._learn(conn)
                    enlisted = await workers.enlist(conn, self._offer())
                await self._open_queues()
            except Unavailable as away:
                log.warning("enlist failed", code=away.code)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
                pause = min(pause * 2, _AWAY[1])
            else:
                log.info("worker enlisted", worker=str(enlisted.worker_id), name=self._offered.name)
                return enlisted, asked_at
        return None

    def _offer(self) -> Offer:
        known = self._means.handlers
        return msgspec.structs.replace(
            self._offered, handlers=tuple(known), writes=self._writes(), open=_names(known, "open")
        )

    def _writes(self) -> tuple[str, ...]:
        return _names(self._means.handlers, "writes")

    async def _learn(self, conn: Conn) -> bool:
        """Whether an operator declared handlers that we did not know."""
        new = [] if self._declared is None else await self._declared(conn)
        before = len(self._means.handlers)
        for handler in new:
            self._means.handlers.setdefault(handler.name, handler)
        return len(self._means.handlers) > before

    async def _learn_on(self, worker: UUID) -> None:
        """For the length of a shift."""
        while self._declared is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._unknown.wait(), _LEARN_EVERY)
            self._unknown.clear()
            try:
                async with self._means.db.connection() as conn:
                    if await self._learn(conn):
                        await workers.knows(conn, worker, self._means.handlers, self._writes())
            except Error as failed:
                log.warning("declared handlers not read", code=failed.code)
                await asyncio.sleep(_AWAY[1])

    async def _open_queues(self) -> None:
        for queue, handler in self._queues.items():
            try:
                async with self._means.db.connection() as conn:
                    await workers.open_queue(conn, queue, handler)
            except Refused as taken:
                log.warning("queue not ours", queue=queue, handler=handler, why=taken.detail)

    async def _work(
        self, enlisted: Enlisted, asked_at: float, stop: asyncio.Event, hurry: asyncio.Event
    ) -> None:
        """One shift."""
        shift = Shift(self._means, enlisted.worker_id)
        async with self._living(shift, enlisted, asked_at):
            settles = asyncio.create_task(shift.settler.run(), name="settler")
            claims = asyncio.create_task(self._claim(shift), name="claimer")
            learns = asyncio.create_task(self._learn_on(shift.worker), name="learner")
            watched: set[asyncio.Task[Any]] = {
                asyncio.create_task(stop.wait()),
                asyncio.create_task(shift.fenced.wait()),
            }
            try:
                await asyncio.wait({settles, claims, *watched}, return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set() and not shift.fenced.is_set() and not claims.done():
                    await drain(shift, self._means.db, self._drain, hurry)
            finally:
                shift.fence_now()
                await _put_away({settles, claims, learns, *watched})
                left = {*self._left, *shift.tasks, settles, claims}
                self._left = {task for task in left if not task.done()}
        if shift.fault is not None:
            raise shift.fault
        for task in (settles, claims):
            if task.done() and not task.cancelled():
                task.result()

    async def _claim(self, shift: Shift) -> None:
        try:
            await shift.claimer.run()
        except LeaseLost:
            log.warning("worker was declared dead", worker=str(shift.worker))
            shift.fence_now()

    @asynccontextmanager
    async def _living(self, shift: Shift, enlisted: Enlisted, asked_at: float) -> AsyncIterator[None]:
        """Beats, with the lock on the LISTEN connection where there is one."""
        alive = Liveness(
            self._dsn,
            enlisted,
            enlisted_at=asked_at,
            net_timeout=self._net_timeout,
            running=lambda: self._means.slots.busy,
            on_cancelled=shift.cancelled,
            on_fenced=shift.fence,
        )

        def on_lock(lock: Lock | None) -> None:
            if lock is None:
                alive.lock_lost()
            else:
                alive.lock_taken(lock.lock_no, lock.incarnation)

        alive.start()
        if self._listener is not None:
            self._listener.hold(enlisted.lock_no, on_lock)
        self._shift, self._alive = shift, alive
        telemetry.tells_worker(str(shift.worker))
        try:
            yield
        finally:
            telemetry.tells_worker(None)
            self._shift, self._alive = None, None
            alive.stop()

    def _heard(self, hint: Hint) -> None:
        if self._shift is not None and hint.kind in {"queue", "pending"}:
            self._shift.claimer.hinted = True


def _names(handlers: Mapping[str, Handler], which: str) -> tuple[str, ...]:
    return tuple(name for name, each in handlers.items() if getattr(each, which))


async def _put_away(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancels them. What does not end is left: a handler may refuse to, and a dead network takes time."""
    running = {task for task in tasks if not task.done()}
    for task in running:
        task.cancel()
    if not running:
        return
    ended, stuck = await asyncio.wait(running, timeout=_GOODBYE)
    for task in ended:
        if not task.cancelled() and task.exception() is not None:
            log.debug("task ended", error=type(task.exception()).__name__)
    if stuck:
        log.warning("tasks do not end", tasks=len(stuck))
