"""Requests that wait for jobs to end: woken by hints, healed by one shared look every half second.

The shared look costs one statement a process, however many wait. Weakness: a lost hint costs the
waiter up to that half second.
"""

import asyncio
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog

from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.loops.wakes import Wakes
from outboxd.store import history

log = structlog.get_logger()

MOST = 200
LONGEST = timedelta(seconds=30)
_LOOK_EVERY = 0.5


class Process(Protocol):
    draining: bool


class Waits:
    """Setting `closing` ends every wait; a process that drains sets it."""

    def __init__(self, db: Database, wakes: Wakes, process: Process) -> None:
        self._process = process
        self.closing = asyncio.Event()
        self._db = db
        self._wakes = wakes
        self._events: dict[UUID, set[asyncio.Event]] = {}
        self._looker: asyncio.Task[None] | None = None
        self._waiters = 0

    async def until_over(self, jobs: set[UUID], longest: timedelta = LONGEST) -> set[UUID]:
        """Waits till all have ended; gives those that have not when time, room or the process ran out."""
        if not jobs or self._waiters >= MOST or self.closing.is_set():
            return await self._still_open(jobs)
        self._waiters += 1
        waiting = {job: asyncio.create_task(self._over(job)) for job in jobs}
        closing = asyncio.create_task(self.closing.wait())
        every = asyncio.gather(*waiting.values())
        try:
            await asyncio.wait(
                (every, closing), timeout=longest.total_seconds(), return_when=asyncio.FIRST_COMPLETED
            )
            return {job for job, task in waiting.items() if not task.done()}
        finally:
            self._waiters -= 1
            closing.cancel()
            every.cancel()
            await asyncio.gather(every, closing, return_exceptions=True)

    async def _over(self, job: UUID) -> None:
        """Registers first and looks then, so an end in between is not missed."""
        async with self._wakes.wait_job(job) as ended:
            events = self._events.setdefault(job, set())
            events.add(ended)
            if self._looker is None:
                self._looker = asyncio.create_task(self._look())
            try:
                while await self._still_open({job}):
                    await ended.wait()
                    ended.clear()
            finally:
                events.discard(ended)
                if not events:
                    self._events.pop(job, None)

    async def _still_open(self, jobs: set[UUID]) -> set[UUID]:
        """While the database cannot be asked, nothing has ended."""
        try:
            async with self._db.connection() as conn:
                return await history.still_open(conn, jobs) if jobs else set()
        except Error as failed:
            log.debug("state of awaited jobs not read", code=failed.code)
            return jobs

    async def _look(self) -> None:
        """Heals lost hints; lives while somebody waits."""
        while self._events:
            await asyncio.sleep(_LOOK_EVERY)
            if self._process.draining:
                self.closing.set()
            asked = set(self._events)
            for job in asked - await self._still_open(asked):
                for event in self._events.get(job, ()):
                    event.set()
        self._looker = None
