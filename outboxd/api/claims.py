"""Claims over HTTP that wait for a job: woken by the hints that wake workers, in the order they came.

    hint, or a second ──▶ one look for all that wait ──▶ the first in each line that has something due
                                                          └── it got a job: the next one tries, too

A line is a key in front of a queue: who stands in one sees the same. So of fifty that wait one claims for
a job, and what is due for nobody here costs one statement a process. Weakness: a lost hint costs up to that
second. Whoever waits says in `idle` that it does, holds no place among the requests in flight, and claims
once more after it has said so.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec
import structlog

from outboxd import telemetry
from outboxd.api.exchange import Exchange
from outboxd.db.pool import Database
from outboxd.errors import Error, RateLimited
from outboxd.loops.wakes import ANYTHING, Wakes
from outboxd.store import pull, workers

log = structlog.get_logger()

MOST = 500
MOST_PER_KEY = 50
_LOOK_EVERY = 1.0
_LOOKS_APART = 0.005
_DRAIN_EVERY = 0.1


class Process(Protocol):
    draining: bool


class Seat(msgspec.Struct, frozen=True):
    """Where a claim waits."""

    key: UUID
    worker: UUID
    queue_id: int
    queue: str
    handler: str


class Found(Protocol):
    @property
    def jobs(self) -> Collection[object]: ...


F = TypeVar("F", bound=Found)
_Line = tuple[UUID, int]


class Claims:
    """Setting `closing` ends every wait; a process that drains sets it."""

    def __init__(self, db: Database, wakes: Wakes, process: Process) -> None:
        self.closing = asyncio.Event()
        self._db = db
        self._process = process
        self._lines: dict[_Line, OrderedDict[asyncio.Event, Seat]] = {}
        self._of_key: Counter[UUID] = Counter()
        self._asleep: Counter[tuple[UUID, str]] = Counter()
        self._look_now = asyncio.Event()
        self._looker: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        wakes.on_queue(self._hinted)
        telemetry.PULL_WAITERS.set_function(self._of_key.total)

    async def hold(
        self,
        exchange: Exchange,
        seat: Seat,
        longest: timedelta,
        gone: asyncio.Task[None],
        again: Callable[[], Awaitable[F]],
    ) -> F:
        """What `again` found: jobs, or nothing when time ran out, or process or client (`gone`) left.

        Raises RateLimited when too many wait."""
        if self._of_key.total() >= MOST or self._of_key[seat.key] >= MOST_PER_KEY:
            raise RateLimited("too many claims wait at once", retry_in=timedelta(seconds=1))
        exchange.leave()
        # Waiting for work is not being slow.
        exchange.took = time.monotonic() - exchange.started
        closing = asyncio.create_task(self.closing.wait())
        until = asyncio.get_running_loop().time() + longest.total_seconds()
        try:
            async with self._standing(seat) as turn:
                while not (found := await again()).jobs:
                    if not await _come(turn, (closing, gone), until):
                        return found
                return found
        finally:
            closing.cancel()

    def look_soon(self) -> None:
        """Something was settled or given back here: its lane or its slot may be free."""
        if self._lines:
            self._look_now.set()

    @asynccontextmanager
    async def _standing(self, seat: Seat) -> AsyncIterator[asyncio.Event]:
        """In line, and asleep as far as others know. Whose turn it was when it leaves passes it on."""
        turn, line = asyncio.Event(), (seat.key, seat.queue_id)
        self._lines.setdefault(line, OrderedDict())[turn] = seat
        self._of_key[seat.key] += 1
        self._watch_over()
        try:
            await self._sleeps(seat)
            yield turn
        finally:
            left = self._lines[line]
            del left[turn]
            self._of_key[seat.key] -= 1
            if not self._of_key[seat.key]:
                del self._of_key[seat.key]
            if left:
                next(iter(left)).set()
            else:
                del self._lines[line]
            await self._wakes(seat)

    async def _sleeps(self, seat: Seat) -> None:
        self._asleep[seat.worker, seat.handler] += 1
        if self._asleep[seat.worker, seat.handler] == 1:
            async with self._db.connection() as conn:
                await workers.sleeps(conn, seat.worker, [seat.handler])

    async def _wakes(self, seat: Seat) -> None:
        self._asleep[seat.worker, seat.handler] -= 1
        if not self._asleep[seat.worker, seat.handler]:
            del self._asleep[seat.worker, seat.handler]
            with suppress(Error):
                async with self._db.connection() as conn:
                    await pull.wakes(conn, seat.worker, seat.handler)

    def _hinted(self, queues: Collection[str]) -> None:
        if self._lines and (ANYTHING in queues or any(each in queues for each in self._waited())):
            self._look_now.set()

    def _waited(self) -> set[str]:
        return {next(iter(line.values())).queue for line in self._lines.values()}

    def _watch_over(self) -> None:
        if self._looker is None or self._looker.done():
            self._looker = asyncio.create_task(self._look())
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())

    async def _look(self) -> None:
        """At once when there is a hint; lost ones are healed. Lives while somebody waits."""
        while self._lines:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._look_now.wait()
            self._look_now.clear()
            for line in await self._due():
                if line in self._lines:
                    next(iter(self._lines[line])).set()
            await asyncio.sleep(_LOOKS_APART)

    async def _due(self) -> Sequence[_Line]:
        """The lines for which something is due; while the database cannot be asked, none."""
        lines = list(self._lines)
        firsts = [next(iter(self._lines[line].values())) for line in lines]
        if not lines:
            return ()
        try:
            async with self._db.connection() as conn:
                due = await pull.due(
                    conn, [each.worker for each in firsts], [each.queue_id for each in firsts]
                )
        except Error as failed:
            log.debug("queues of waiting claims not read", code=failed.code)
            return ()
        return [lines[at] for at in due]

    async def _watch(self) -> None:
        """Apart from the look, which may hang on a database that is away."""
        while self._lines and not self.closing.is_set():
            await asyncio.sleep(_DRAIN_EVERY)
            if self._process.draining:
                self.closing.set()


async def _come(turn: asyncio.Event, ends: Sequence[asyncio.Task[object]], until: float) -> bool:
    """Whether it is our turn; False: the time is up, or one of the ends came first."""
    waiting = asyncio.create_task(turn.wait())
    left = max(0.0, until - asyncio.get_running_loop().time())
    try:
        await asyncio.wait({waiting, *ends}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if any(task.done() for task in ends) or not turn.is_set():
        return False
    turn.clear()
    return True
