"""Reading a feed from the table, for tails and for who is not at the head."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Raw

from outboxd.db.pool import Database
from outboxd.loops.hub.filters import Filter
from outboxd.loops.hub.rings import Entry
from outboxd.loops.hub.turns import Turns
from outboxd.model import Event, epoch
from outboxd.store import events, feed
from outboxd.store.feed import Conn, Numbered

WINDOW = 1000
AT_ONCE = 16
"""Windows that are read at once in a process."""
MOST_EVENTS = 500
_TAIL_BYTES = 4 * 1024 * 1024
_WINDOW_BYTES = 256 * 1024
"""Of a window that one reader holds while its client takes it."""
_ENDLESS = 2**63 - 1
_NOTHING = Raw(b"{}")
EXPUNGED = "event.expunged"


class GapError(Exception):
    """What should follow a number is not there."""


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """Whose, and in which history."""

    project: UUID
    team: UUID
    epoch: str


class Window(msgspec.Struct, frozen=True, kw_only=True):
    entries: Sequence[Entry]
    """Those that are wanted."""
    seq: int
    """Everything up to here has been looked at."""
    since: datetime
    """Of that row."""


class Reader:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._turns = Turns(AT_ONCE)

    async def window(
        self, of: Feed, seq: int, upto: int, since: datetime, where: Filter, most: int = MOST_EVENTS
    ) -> Window:
        """What matches of the rows behind `seq`, at most `most`, and how far that went. Raises GapError."""
        async with self._turns.of(of.project), self._db.connection() as conn:
            upto = min(upto, seq + WINDOW)
            limit = WINDOW if where.narrows else most
            rows = await feed.after(conn, of.project, seq, upto, since, limit)
            _check(rows, seq)
            if not rows:
                raise GapError
            wanted = [row for row in rows if where.wants(row.type)]
            taken = _within(wanted, most, _WINDOW_BYTES, _all)
            last = rows[-1] if len(taken) == len(wanted) else taken[-1]
            entries = await _entries(conn, of, taken, _all)
        matched = [each for each in entries if each.event is not None and where.matches(each.event)]
        return Window(entries=matched, seq=last.seq, since=last.sequenced_at)

    async def news(
        self, of: Feed, seq: int, since: datetime, wanted: Callable[[Numbered], bool]
    ) -> list[Entry]:
        """All rows behind `seq` that one read gives, with the events that are wanted. Raises GapError."""
        async with self._db.connection() as conn:
            rows = await feed.after(conn, of.project, seq, _ENDLESS, since, MOST_EVENTS)
            _check(rows, seq)
            return await _entries(conn, of, _within(rows, MOST_EVENTS, _TAIL_BYTES, wanted), wanted)


def _all(row: Numbered) -> bool:
    return True


def _check(rows: Sequence[Numbered], seq: int) -> None:
    """Numbers are dense: the last one tells whether any is missing."""
    if rows and (rows[0].seq != seq + 1 or rows[-1].seq != seq + len(rows)):
        raise GapError


def _within(
    rows: Sequence[Numbered], most: int, room: int, wanted: Callable[[Numbered], bool]
) -> Sequence[Numbered]:
    """The first of them, one at least."""
    for n, row in enumerate(rows[:most]):
        room -= min(row.bytes, events.LARGEST_SHOWN) if wanted(row) else 0
        if room < 0 and n:
            return rows[:n]
    return rows[:most]


async def _entries(
    conn: Conn, of: Feed, rows: Sequence[Numbered], wanted: Callable[[Numbered], bool]
) -> list[Entry]:
    asked = [row for row in rows if wanted(row)]
    found = await events.of_feed(conn, of.project, of.epoch, asked) if asked else {}
    gone = {row.seq for row in asked if row.event_id not in found}
    return [Entry(row, _tombstone(of, row) if row.seq in gone else found.get(row.event_id)) for row in rows]


def _tombstone(of: Feed, row: Numbered) -> Event:
    """Of an event that was purged, or that retention took: its number stays."""
    at = epoch(row.sequenced_at)
    return Event(
        id=row.event_id,
        project_id=of.project,
        team_id=of.team,
        server_session_id=None,
        source_adapter="outboxd",
        source_event_id=None,
        event_type=row.type,
        platform_source=None,
        payload=_NOTHING,
        metadata=_NOTHING,
        occurred_at_epoch=at,
        received_at_epoch=at,
        created_at_epoch=at,
        subject=None,
        ordering_key=None,
        request_id=None,
        traceparent=None,
        position=f"{of.epoch}-{row.seq}",
        expires_at_epoch=None,
        private_removed=0,
        expunged_at_epoch=at,
    )
