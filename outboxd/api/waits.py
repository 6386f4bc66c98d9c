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
from outboxd.loops.wakes import Ended, Wakes
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
        self._asked: dict[Ended, set[UUID]] = {}
        """Of each request that waits: what it waits for still."""
        self._looker: asyncio.Task[None] | None = None
        self._waiters = 0

    async def until_over(self, jobs: set[UUID], longest: timedelta = LONGEST) -> set[UUID]:
        """Waits till all have ended; gives those that have not when time, room or the process ran out."""
        if not jobs or self._waiters >= MOST or self.closing.is_set():
            return await self._still_open(jobs)
        self._waiters += 1
        left = set(jobs)
        waiting = [asyncio.create_task(self._over(left)), asyncio.create_task(self.closing.wait())]
        try:
            await asyncio.wait(waiting, timeout=longest.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
            return left
        finally:
            self._waiters -= 1
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _over(self, left: set[UUID]) -> None:
        """Takes out what has ended, till nothing is left: one statement for all, whenever one is heard of.

        Registers first and looks then, so an end in between is not missed.
        """
        async with self._wakes.wait_jobs(left) as ended:
            self._asked[ended] = left
            if self._looker is None:
                self._looker = asyncio.create_task(self._look())
            try:
                heard = set(left)
                while True:
                    left -= heard - await self._still_open(heard)
                    if not left:
                        return
                    heard = await ended.wait() & left
            finally:
                del self._asked[ended]

    async def _still_open(self, jobs: set[UUID]) -> set[UUID]:
        """While the database cannot be asked, nothing has ended."""
        if not jobs:
            return set()
        try:
            async with self._db.connection() as conn:
                return await history.still_open(conn, jobs)
        except Error as failed:
            log.debug("state of awaited jobs not read", code=failed.code)
            return jobs

    async def _look(self) -> None:
        """Heals lost hints; lives while somebody waits."""
        while self._asked:
            await asyncio.sleep(_LOOK_EVERY)
            if self._process.draining:
                self.closing.set()
            asked = {job for left in self._asked.values() for job in left}
            over = asked - await self._still_open(asked)
            for ended, left in self._asked.items():
                for job in over & left:
                    ended.say(job)
        self._looker = None
