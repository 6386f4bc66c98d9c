"""The end of one project's feed, as long as somebody follows it here."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
import structlog
from msgspec import Raw

from outboxd import telemetry
from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.loops.hub.reading import EXPUNGED, Feed, GapError, Reader
from outboxd.loops.hub.rings import Entry, Rings
from outboxd.loops.hub.subscribers import Subscriber
from outboxd.store import feed
from outboxd.store.feed import Numbered

log = structlog.get_logger()

_STALLED = 1.0
"""Seconds without taking a row after which a reader is not waited for."""
_PATIENCE = 10.0
_LOOK = 0.01
_AFTER_FAILURE = 0.5


class Stands(Protocol):
    """What a Standing and a Start both say."""

    @property
    def epoch(self) -> str: ...
    @property
    def floor(self) -> int: ...
    @property
    def head(self) -> int: ...
    @property
    def sequenced_at(self) -> datetime: ...


class _Expunged(msgspec.Struct, frozen=True):
    ids: tuple[UUID, ...] = ()


_expunged = msgspec.json.Decoder(_Expunged)


class Tail:
    """Made with its first subscriber; `close()` after the last."""

    def __init__(self, db: Database, reader: Reader, rings: Rings, of: Feed, stands: Stands) -> None:
        self.db = db
        self.reader = reader
        self.of = of
        self.floor = stands.floor
        self.last = stands.head
        """Number up to which rows have been read."""
        self.head = stands.head
        self.ring = rings.open(of.project)
        self.subscribers: set[Subscriber] = set()
        self._rings = rings
        self._since = stands.sequenced_at
        self._behind = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"tail {of.project}")

    def close(self) -> None:
        self._task.cancel()
        self._rings.close(self.of.project)

    def hint(self, head: int) -> None:
        """Perhaps it has grown."""
        if head > self.last:
            self._behind.set()

    def renew(self, stands: Stands, known: int = 0) -> None:
        """How it stands, or did a moment ago. `known`: what had been read before that was asked."""
        if stands.epoch != self.of.epoch or stands.head < known:
            # What was read and is not there was lost in a failover: a new epoch comes with the next number.
            self._turn(stands)
            return
        self.head = max(self.head, stands.head)
        if stands.floor > self.floor:
            self.floor = stands.floor
            self.ring.cut(stands.floor)
            self._wake()
        self.hint(stands.head)

    async def look(self) -> None:
        """Asks at once how it stands."""
        known = self.last
        async with self.db.connection() as conn:
            found = await feed.standings(conn, [self.of.project])
        if self.of.project in found:
            self.renew(found[self.of.project], known)
        else:
            self.end("gone")

    def gap(self, seq: int) -> None:
        """A promise is broken: nobody here is served beyond it."""
        log.error("gap in a feed", project=str(self.of.project), after=seq, head=self.head)
        telemetry.STREAM_GAPS_TOTAL.inc()
        self.end("trouble")

    def end(self, reason: str) -> None:
        for subscriber in self.subscribers:
            subscriber.end(reason)  # type: ignore[arg-type]

    async def _run(self) -> None:
        while True:
            await self._behind.wait()
            self._behind.clear()
            try:
                while await self._read():
                    pass
            except Error as failed:
                # Healed at the latest with the next look; subscribers keep what they have.
                log.warning("feed not read", code=failed.code)
                await asyncio.sleep(_AFTER_FAILURE)
                self._behind.set()

    async def _read(self) -> bool:
        """Takes what follows into the ring; whether there may be more."""
        of, last = self.of, self.last
        try:
            entries = await self.reader.news(of, last, self._since, self._wanted)
        except GapError:
            await self._missing(last)
            return False
        if of != self.of or not entries:
            return False
        await self._room(entries)
        if of != self.of:
            return True
        self._forget(entries)
        self.ring.add(entries)
        self._rings.used(of.project)
        self.last, self._since = entries[-1].seq, entries[-1].row.sequenced_at
        self.head = max(self.head, self.last)
        self._wake(last)
        return self.last < self.head or len(entries) > 1

    def _wanted(self, row: Numbered) -> bool:
        return row.type == EXPUNGED or any(each.where.wants(row.type) for each in self.subscribers)

    def _wake(self, caught_up: int | None = None) -> None:
        now = time.monotonic()
        for subscriber in self.subscribers:
            if subscriber.seq == caught_up:
                subscriber.moved = now
            subscriber.wake()

    async def _room(self, entries: Sequence[Entry]) -> None:
        """Waits for those who would lose their places, if they are on the way."""
        began = time.monotonic()
        first = self.ring.first_with(entries)
        while time.monotonic() - began < _PATIENCE:
            newest = time.monotonic() - _STALLED
            kept = self.last + 1 if first is None else first
            if not any(s.live and s.seq + 1 < kept and s.moved > newest for s in self.subscribers):
                return
            await asyncio.sleep(_LOOK)

    def _forget(self, entries: Sequence[Entry]) -> None:
        """Events whose content is gone are gone here, too."""
        gone: set[UUID] = set()
        for entry in entries:
            payload = entry.event.payload if entry.event is not None else None
            if entry.row.type == EXPUNGED and isinstance(payload, Raw):
                # Somebody else's event of that name says nothing to us.
                with suppress(msgspec.MsgspecError):
                    gone.update(_expunged.decode(payload).ids)
        if gone:
            self.ring.forget(gone)

    async def _missing(self, last: int) -> None:
        """Retention may have taken what was not read yet; then the floor has risen."""
        await self.look()
        if self.floor > last:
            self.ring.clear()
            self.last = max(self.last, self.floor)
            self._behind.set()
        elif self.last == last and self.head > last:
            self.gap(last)

    def _turn(self, stands: Stands) -> None:
        """Another history: readers find out by themselves what of theirs it has."""
        self.of = msgspec.structs.replace(self.of, epoch=stands.epoch)
        self.floor, self.head, self.last = stands.floor, stands.head, stands.head
        self._since = stands.sequenced_at
        self.ring.clear()
        for subscriber in self.subscribers:
            subscriber.live = False
        self._wake()
