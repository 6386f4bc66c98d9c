"""What the overview shows, read once for all who may see the same, however many look.

    pages, live ──▶ of(caller) ──▶ fresh: two seconds     queues, feeds, workers, what waits for a person
                              └──▶ the hour: ten seconds  throughput, providers, chores, who did what

What takes long is asked less often: never more than a twentieth of the time goes into reading the hour.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from outboxd.db.link import Link
from outboxd.db.pool import Database
from outboxd.model import Caller
from outboxd.store import depths, overview, views
from outboxd.store.depths import Depth
from outboxd.store.overview import Line, Minute, Stream, Worker

T = TypeVar("T")

CONNECTION = "console"
"""The channel whose questions are answered here."""
FRESH = 2.0
_HOUR_FRESH = 10.0
_SHARE = 20
_MINUTES = 60
_MOST = 200
"""Tenancies that are remembered at once."""
_PEEK = 60.0

Counts = list[tuple[int, int]]


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    all: Counts
    """(completed, failed) of each of the last 60 minutes, the oldest first."""
    by_queue: dict[str, Counts]
    lines: Sequence[Line]
    providers: Sequence[dict[str, Any]]
    """This and the next: for operators."""
    chores: Sequence[dict[str, Any]]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    queues: Sequence[Depth]
    streams: Sequence[Stream]
    workers: Sequence[Worker]
    questions: int
    stalled: int
    hour: Hour

    @property
    def dead(self) -> int:
        return sum(each.failed for each in self.queues)

    @property
    def due(self) -> int:
        return sum(each.due for each in self.queues)

    @property
    def running(self) -> int:
        return sum(each.running for each in self.queues)

    @property
    def pending(self) -> int:
        return sum(each.pending for each in self.streams)

    @property
    def lag(self) -> float | None:
        return max((each.lag for each in self.queues if each.lag is not None), default=None)


class _Kept(msgspec.Struct, kw_only=True, eq=False):
    lock: asyncio.Lock
    picture: Picture | None = None
    until: float = 0.0
    hour: Hour | None = None
    hour_until: float = 0.0


class Figures:
    """One a process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: dict[Any, _Kept] = {}

    async def of(self, caller: Caller) -> Picture:
        """As it was at most two seconds ago. Raises DatabaseUnavailable."""
        kept = self._of(caller)
        async with kept.lock:
            if kept.picture is None or kept.until <= time.monotonic():
                async with self._db.connection() as conn:
                    kept.picture = await self._read(conn, caller, kept)
                kept.until = time.monotonic() + FRESH
            return kept.picture

    def peek(self, caller: Caller) -> Picture | None:
        """What is known without asking, if it is not old."""
        kept = self._kept.get(scope(caller))
        known = kept is not None and kept.until > time.monotonic() - _PEEK
        return kept.picture if kept is not None and known else None

    def _of(self, caller: Caller) -> _Kept:
        if len(self._kept) >= _MOST:
            self._kept = {key: kept for key, kept in self._kept.items() if kept.lock.locked()}
        return self._kept.setdefault(scope(caller), _Kept(lock=asyncio.Lock()))

    async def _read(self, conn: Link, caller: Caller, kept: _Kept) -> Picture:
        if kept.hour is None or kept.hour_until <= time.monotonic():
            began = time.monotonic()
            kept.hour = await _hour(conn, caller)
            took = time.monotonic() - began
            kept.hour_until = time.monotonic() + max(_HOUR_FRESH, took * _SHARE)
        return Picture(
            at=datetime.now(UTC),
            queues=await depths.queues(conn, caller),
            streams=await overview.streams(conn, caller),
            workers=await overview.workers(conn, caller),
            questions=await overview.questions(conn, caller, CONNECTION),
            stalled=await overview.standstill(conn) if caller.everywhere else 0,
            hour=kept.hour,
        )


def scope(caller: Caller) -> Any:
    """Who have the same see the same."""
    return caller.everywhere, caller.team_id, caller.project_ids


async def _hour(conn: Link, caller: Caller) -> Hour:
    minutes = await overview.hour(conn, caller)
    everywhere = caller.everywhere
    return Hour(
        all=_row(minutes),
        by_queue={name: _row(minutes, name) for name in {each.queue for each in minutes}},
        lines=await overview.lines(conn, caller),
        providers=await views.rows(conn, "provider_health", order="provider", limit=20) if everywhere else [],
        chores=await views.rows(conn, "chore_health", order="late desc, chore", limit=50)
        if everywhere
        else [],
    )


def _row(minutes: Sequence[Minute], queue: str | None = None) -> Counts:
    last = int(time.time()) // 60
    row = [[0, 0] for _ in range(_MINUTES)]
    for each in minutes:
        at = _MINUTES - 1 - max(0, last - each.minute)
        if at >= 0 and queue in {None, each.queue}:
            row[at][0] += each.completed
            row[at][1] += each.failed
    return [(good, bad) for good, bad in row]
