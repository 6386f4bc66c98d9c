"""One reader of a feed: a number, a filter, and what follows that number."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from outboxd import telemetry
from outboxd.loops.hub.filters import Filter
from outboxd.loops.hub.reading import MOST_EVENTS, Feed, GapError
from outboxd.loops.hub.rings import Entry
from outboxd.model import positions
from outboxd.store import feed
from outboxd.store.feed import Start

if TYPE_CHECKING:
    from outboxd.loops.hub.tails import Tail

Close = Literal["draining", "age", "slow", "unauthorized", "gone", "trouble"]
"""Why we end a stream. `trouble`: the client hears nothing but the end, and comes again."""
OnGap = Literal["earliest", "latest"]

_AT_ONCE = 64 * 1024
"""Bytes that a reader takes from the ring at a time."""


class EndedError(Exception):
    def __init__(self, reason: Close) -> None:
        super().__init__(reason)
        self.reason: Close = reason


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """A position that cannot be served; the reader goes on from where it stands now."""

    reason: str
    asked: str
    earliest: str
    latest: str


class Subscriber:
    """`next()` until it raises; made by `Hub.join`."""

    def __init__(self, tail: "Tail", where: Filter, start: Start, on_gap: OnGap, since: datetime) -> None:
        self.tail = tail
        self.where = where
        self.seq = start.seq
        self.epoch = start.epoch
        self.live = False
        """Has been served from the ring, and loses its place there only by being slow."""
        self.moved = time.monotonic()
        """When it last took rows, or there were none to take."""
        self.ended: Close | None = None
        self._on_gap = on_gap
        self._since = since
        self._waiting: asyncio.Future[bool] | None = None

    @property
    def position(self) -> str:
        return positions.said(self.epoch, self.seq)

    @property
    def head(self) -> int:
        """As far as is known here."""
        return max(self.tail.head, self.seq)

    def wake(self) -> None:
        """There may be something to look at; who is not waiting looks anyway."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(True)

    def end(self, reason: Close) -> None:
        """The first word counts."""
        self.ended = self.ended or reason
        self.wake()

    async def next(self, timeout: float, most: int = MOST_EVENTS) -> Sequence[Entry] | Reset:
        """What matches of what follows; empty when only the number moved, or nothing came in time.

        Raises EndedError, and DatabaseUnavailable when the table cannot be read.
        """
        until = time.monotonic() + timeout
        while True:
            if self.ended is not None:
                raise EndedError(self.ended)
            if self.epoch != self.tail.of.epoch or self.seq < self.tail.floor:
                moved = await self._resolve()
                if moved is not None:
                    return moved
            elif self.seq < self.tail.last:
                return await self._take(most)
            elif not await self._wait(until - time.monotonic()):
                return ()

    async def _take(self, most: int) -> Sequence[Entry]:
        ring, tail = self.tail.ring, self.tail
        if ring.first is not None and self.seq + 1 >= ring.first:
            taken = self._of_ring(most)
            if taken is not None:
                return taken
        elif self.live and self.seq >= ring.starved:
            self.end("slow")
            raise EndedError("slow")
        self.live = False
        try:
            found = await tail.reader.window(self._feed(), self.seq, tail.last, self._since, self.where, most)
        except GapError:
            return await self._missing()
        self.seq, self._since = found.seq, found.since
        return found.entries

    def _of_ring(self, most: int) -> Sequence[Entry] | None:
        """None: the next row was read when nobody wanted it."""
        taken: list[Entry] = []
        began, room = self.seq, _AT_ONCE
        for entry in self.tail.ring.after(self.seq, MOST_EVENTS):
            wanted = self.where.wants(entry.row.type)
            if (wanted and entry.event is None) or room <= 0 or len(taken) >= most:
                break
            if wanted and entry.event is not None and self.where.matches(entry.event):
                taken.append(entry)
                room -= entry.size
            self.seq, self._since = entry.seq, entry.row.sequenced_at
        if self.seq == began:
            return None
        self.live, self.moved = True, time.monotonic()
        telemetry.STREAM_LAG_EVENTS.observe(self.tail.last - self.seq)
        return taken

    async def _wait(self, timeout: float) -> bool:
        """Whether there is something to look at."""
        if timeout <= 0:
            return False
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting = waiting
        # By hand: a thousand of these are made and undone for each event.
        timer = loop.call_later(timeout, _expire, waiting)
        try:
            return await waiting
        finally:
            timer.cancel()

    async def _missing(self) -> Sequence[Entry]:
        """Rows may have gone with their partition; then the floor says so, and the next look a reset."""
        await self.tail.look()
        if self.tail.floor <= self.seq < self.tail.last and self.epoch == self.tail.of.epoch:
            self.tail.gap(self.seq)
        return ()

    async def _resolve(self) -> Reset | None:
        """After another history began, or what it stands on is gone."""
        asked = self.position
        async with self.tail.db.connection() as conn:
            start = await feed.resolve(conn, self.tail.of.project, asked, self._on_gap)
        if start is None:
            self.end("gone")
            return None
        self.tail.renew(start)
        self.epoch, self.seq, self.live, self._since = start.epoch, start.seq, False, feed.EVER
        return reset(start, asked)

    def _feed(self) -> Feed:
        return msgspec.structs.replace(self.tail.of, epoch=self.epoch)


def _expire(waiting: asyncio.Future[bool]) -> None:
    if not waiting.done():
        waiting.set_result(False)


def reset(start: Start, asked: str) -> Reset | None:
    """What a reader is told who asked for a position and does not get it."""
    if start.reason is None:
        return None
    telemetry.STREAM_RESETS_TOTAL.labels(start.reason).inc()
    return Reset(
        reason=start.reason,
        asked=asked,
        earliest=positions.said(start.epoch, start.floor),
        latest=positions.said(start.epoch, start.head),
    )
