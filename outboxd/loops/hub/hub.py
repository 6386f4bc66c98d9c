"""All tails of a process, how they are told that feeds grow, and how readers come and go."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import structlog

from outboxd import telemetry
from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.loops.hub.filters import Filter
from outboxd.loops.hub.reading import Feed, Reader
from outboxd.loops.hub.rings import Rings
from outboxd.loops.hub.subscribers import OnGap, Subscriber
from outboxd.loops.hub.tails import Tail
from outboxd.loops.wakes import Wakes
from outboxd.store import feed
from outboxd.store.feed import Start

log = structlog.get_logger()

HEAL = timedelta(seconds=2)


class Hub:
    def __init__(self, db: Database, wakes: Wakes, *, heal: timedelta = HEAL) -> None:
        self.reader = Reader(db)
        self._db = db
        self._every = heal.total_seconds()
        self._rings = Rings()
        self._tails: dict[UUID, Tail] = {}
        self._healer: asyncio.Task[None] | None = None
        self._now = asyncio.Event()
        self._healed_at = time.monotonic()
        wakes.on_stream(self._told)
        telemetry.STREAM_SUBSCRIBERS_REPLAYING.set_function(self._replaying)

    @property
    def tails(self) -> int:
        return len(self._tails)

    @property
    def heal_age(self) -> float:
        """Seconds since the chore `heal` went well; none while there is nothing to look at."""
        return time.monotonic() - self._healed_at if self._tails else 0.0

    async def resolve(self, project: UUID, position: str | None, on_gap: OnGap) -> Start | None:
        """Where a reader begins; None: no such project. Raises DatabaseUnavailable."""
        async with self._db.connection() as conn:
            return await feed.resolve(conn, project, position, on_gap)

    @contextmanager
    def join(self, project: UUID, start: Start, where: Filter, on_gap: OnGap) -> Iterator[Subscriber]:
        """A reader from there on. Nothing is awaited between this and its place in the tail."""
        tail = self._tails.get(project)
        if tail is None:
            self._healed_at = time.monotonic() - self.heal_age
            of = Feed(project=project, team=start.team_id, epoch=start.epoch)
            tail = self._tails[project] = Tail(self._db, self.reader, self._rings, of, start)
            self._heal_on()
        elif tail.of.epoch == start.epoch:
            tail.renew(start)
        else:
            self._now.set()
        made = Subscriber(tail, where, start, on_gap, feed.EVER)
        tail.subscribers.add(made)
        try:
            yield made
        finally:
            tail.subscribers.discard(made)
            if not tail.subscribers and self._tails.get(project) is tail:
                del self._tails[project]
                tail.close()

    async def heal(self) -> None:
        """What is promised: one statement for all tails, and what is behind is read."""
        asked = {project: (tail, tail.last) for project, tail in self._tails.items()}
        async with self._db.connection() as conn:
            found = await feed.standings(conn, asked)
        for project, (tail, known) in asked.items():
            if project in found:
                tail.renew(found[project], known)
            else:
                tail.end("gone")

    def _told(self, project: UUID | None, head: int) -> None:
        """None: hints may have been lost."""
        if project is None:
            self._now.set()
        elif project in self._tails:
            self._tails[project].hint(head)

    def _heal_on(self) -> None:
        if self._healer is None or self._healer.done():
            self._healer = asyncio.create_task(self._healing(), name="hub: heal")

    async def _healing(self) -> None:
        """Lives while there is a tail."""
        while self._tails:
            try:
                async with asyncio.timeout(self._every):
                    await self._now.wait()
            except TimeoutError:
                pass
            self._now.clear()
            try:
                if self._tails:
                    with telemetry.CHORE_SECONDS.labels("heal").time():
                        await self.heal()
                    self._healed_at = time.monotonic()
            except Error as failed:
                telemetry.CHORE_FAILURES_TOTAL.labels("heal").inc()
                log.warning("feeds not looked at", code=failed.code)
        self._healer = None

    def _replaying(self) -> int:
        return sum(not each.live for tail in self._tails.values() for each in tail.subscribers)
