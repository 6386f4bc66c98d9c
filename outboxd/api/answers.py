"""Requests that wait for a person's answer: woken by hints, healed by one shared look every second.

The shared look costs one statement a process, however many wait. Weakness: a lost hint costs the waiter
up to that second. Whoever waits holds no place among the requests in flight, nor one here once its client
has left.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

import structlog

from outboxd import telemetry
from outboxd.api.exchange import Exchange
from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.loops.wakes import Wakes
from outboxd.model.interactions import Interaction
from outboxd.store import interactions

log = structlog.get_logger()

MOST = 1000
_LOOK_EVERY = 1.0
_DRAIN_EVERY = 0.1

Read = Callable[[], Awaitable[Interaction]]


class Process(Protocol):
    draining: bool


class Answers:
    """Setting `closing` ends every wait; a process that drains sets it."""

    def __init__(self, db: Database, wakes: Wakes, process: Process) -> None:
        self.closing = asyncio.Event()
        self._db = db
        self._wakes = wakes
        self._process = process
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._waiters = 0
        self._watchers: set[asyncio.Task[None]] = set()
        telemetry.INTERACTIONS_WAITERS.set_function(lambda: self._waiters)

    async def hold(self, exchange: Exchange, id_: str, longest: timedelta, read: Read) -> Interaction:
        """The question once it is over, or as it stands when time or room ran out, or process or client."""
        if self._waiters >= MOST or self._process.draining or not longest:
            return await read()
        exchange.leave()
        # Waiting for a person is not being slow.
        exchange.took = time.monotonic() - exchange.started
        self._waiters += 1
        ends = [asyncio.create_task(self.closing.wait()), asyncio.create_task(_gone(exchange))]
        until = asyncio.get_running_loop().time() + longest.total_seconds()
        try:
            async with self._registered(id_) as over:
                # Registers first and looks then, so an answer in between is not missed.
                while (found := await read()).state == "pending":
                    if not await _woken(over, ends, until):
                        return found
                return found
        finally:
            self._waiters -= 1
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    @asynccontextmanager
    async def _registered(self, id_: str) -> AsyncIterator[asyncio.Event]:
        async with self._wakes.wait_interaction(id_) as over:
            events = self._waiting.setdefault(id_, set())
            events.add(over)
            if not self._watchers:
                for watch in (self._look(), self._watch()):
                    task = asyncio.create_task(watch)
                    self._watchers.add(task)
                    task.add_done_callback(self._watchers.discard)
            try:
                yield over
            finally:
                events.discard(over)
                if not events:
                    self._waiting.pop(id_, None)

    async def _look(self) -> None:
        """Heals lost hints; lives while somebody waits."""
        while self._waiters:
            await asyncio.sleep(_LOOK_EVERY)
            asked = set(self._waiting)
            for id_ in asked - await self._still_open(asked):
                for event in self._waiting.get(id_, ()):
                    event.set()

    async def _watch(self) -> None:
        """Apart from the look, which may hang on a database that is away."""
        while self._waiters and not self.closing.is_set():
            await asyncio.sleep(_DRAIN_EVERY)
            if self._process.draining:
                self.closing.set()

    async def _still_open(self, ids: set[str]) -> set[str]:
        """While the database cannot be asked, nothing is over."""
        try:
            async with self._db.connection() as conn:
                return await interactions.still_open(conn, ids) if ids else set()
        except Error as failed:
            log.debug("state of awaited questions not read", code=failed.code)
            return ids


async def _woken(over: asyncio.Event, ends: Sequence[asyncio.Task[object]], until: float) -> bool:
    """Whether it may be over; False: the time is up, or one of the ends came first."""
    waiting = asyncio.create_task(over.wait())
    left = max(0.0, until - asyncio.get_running_loop().time())
    try:
        await asyncio.wait({waiting, *ends}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if any(task.done() for task in ends) or not over.is_set():
        return False
    over.clear()
    return True


async def _gone(exchange: Exchange) -> None:
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
