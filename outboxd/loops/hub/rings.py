"""The newest rows of a feed, in memory, with what was made of them for subscribers."""

from collections import OrderedDict, deque
from collections.abc import Collection, Iterator
from itertools import islice
from uuid import UUID

from outboxd import telemetry
from outboxd.model import Event
from outboxd.store.feed import Numbered

MOST_ROWS = 1000
MOST_BYTES = 8 * 1024 * 1024
ALL_BYTES = 256 * 1024 * 1024
"""Of all rings of a process."""
_ROW = 300
"""Bytes of a row without its event, about."""


class Entry:
    """A row, and its event if some subscriber wanted it when it was read."""

    __slots__ = ("event", "frames", "row", "size")

    def __init__(self, row: Numbered, event: Event | None) -> None:
        self.row = row
        self.event = event
        self.frames: dict[tuple[str, bool], bytes] = {}
        """Encoded once; by format, and whether it is named."""
        # The event, and a frame that is made of it.
        self.size = _ROW + 2 * (len(event.payload) + len(event.metadata) if event is not None else 0)  # type: ignore[arg-type]

    @property
    def seq(self) -> int:
        return self.row.seq

    def forget(self) -> None:
        """Its event has changed: who wants it reads it again."""
        self.event, self.frames = None, {}


class Ring:
    def __init__(self, rows: int = MOST_ROWS, most: int = MOST_BYTES) -> None:
        self._rows, self._most = rows, most
        self._entries: deque[Entry] = deque()
        self.bytes = 0
        self.starved = 0
        """What is up to this number had to go for other rings: nobody was slow."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first(self) -> int | None:
        """The lowest number in it."""
        return self._entries[0].seq if self._entries else None

    def first_with(self, entries: Collection[Entry]) -> int | None:
        """What `first` will be when these have been added."""
        rows, size = len(self._entries) + len(entries), self.bytes + sum(each.size for each in entries)
        for entry in self._entries:
            if rows <= self._rows and size <= self._most:
                return entry.seq
            rows, size = rows - 1, size - entry.size
        return None

    def add(self, entries: Collection[Entry]) -> None:
        self._entries.extend(entries)
        self.bytes += sum(entry.size for entry in entries)
        while len(self._entries) > self._rows or (self.bytes > self._most and len(self._entries) > 1):
            self._drop()

    def after(self, seq: int, most: int) -> Iterator[Entry]:
        """Up to `most` of those that follow; `seq + 1` must be in it."""
        skipped = seq + 1 - self._entries[0].seq
        return islice(self._entries, skipped, skipped + most)

    def shrink(self) -> None:
        """By half."""
        for _ in range((len(self._entries) + 1) // 2):
            self.starved = self._entries[0].seq
            self._drop()

    def cut(self, floor: int) -> None:
        while self._entries and self._entries[0].seq <= floor:
            self._drop()

    def clear(self) -> None:
        self._entries.clear()
        self.bytes = 0

    def forget(self, events: Collection[UUID]) -> None:
        for entry in self._entries:
            if entry.row.event_id in events:
                entry.forget()

    def _drop(self) -> None:
        self.bytes -= self._entries.popleft().size


class Rings:
    """All of a process: together they stay within a bound, the least recently used gives first."""

    def __init__(self, most: int = ALL_BYTES) -> None:
        self._most = most
        self._rings: OrderedDict[UUID, Ring] = OrderedDict()
        telemetry.STREAM_RING_BYTES.set_function(self._total)

    def open(self, project: UUID) -> Ring:
        self._rings[project] = Ring()
        return self._rings[project]

    def close(self, project: UUID) -> None:
        self._rings.pop(project, None)

    def used(self, project: UUID) -> None:
        """It has grown, so others may have to give."""
        self._rings.move_to_end(project)
        total = self._total()
        for ring in list(self._rings.values()):
            while total > self._most and len(ring):
                before = ring.bytes
                ring.shrink()
                total -= before - ring.bytes

    def _total(self) -> int:
        return sum(ring.bytes for ring in self._rings.values())
