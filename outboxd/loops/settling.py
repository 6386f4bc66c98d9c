"""Outcomes on their way to the database: a bounded buffer that empties as fast as statements return.

    end of a job ──▶ buffer (≤ 1,000 or 8 MiB) ──▶ one statement at a time, ≤ 500 ──▶ ledger
                       └ full: no more claims       └ repeated until it is answered, or we are fenced

No timer: a batch is whatever gathered while the statement before was away, so it is small when
there is little to do and large when there is much. A database error says nothing about a handler, so
the same statement is said again; the database knows what it has accepted. Should the database refuse
a batch for what is in it, it is halved until the bad item stands alone, and that one is settled bare.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
import structlog

from outboxd import telemetry
from outboxd.db.pool import Database
from outboxd.errors import Error, Unavailable
from outboxd.loops import ends
from outboxd.loops.meters import Meters
from outboxd.model import Claimed
from outboxd.model.contract import Ended
from outboxd.store import jobs
from outboxd.store.jobs import Settled

log = structlog.get_logger()

MOST_ITEMS = 1000
MOST_BYTES = 8 * 1024 * 1024
# The statement has some room left for the brackets and commas, and for jsonb being larger than its text.
_STATEMENT_BYTES = MOST_BYTES // 2
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

OnSettled = Callable[[Sequence["Item"]], None]


class Item(msgspec.Struct, frozen=True, gc=False):
    """One outcome, encoded when it is put in."""

    claimed: Claimed
    outcome: str
    ms: int
    json: bytes


class Settler:
    """`run()` it in a task of its own for the life of one enlistment."""

    def __init__(self, db: Database, worker: UUID, meters: Meters, on_settled: OnSettled) -> None:
        """`on_settled` gets the items that were accepted, after each statement."""
        self._db = db
        self._worker = worker
        self._meters = meters
        self._on_settled = on_settled
        self._waiting: deque[Item] = deque()
        self._bytes = 0
        self._away = 0
        self._flying: Sequence[Item] = ()
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def full(self) -> bool:
        return len(self._waiting) + self._away >= MOST_ITEMS or self._bytes >= MOST_BYTES

    @property
    def waiting(self) -> int:
        """Outcomes that no statement has taken yet."""
        return len(self._waiting)

    def leases(self) -> set[UUID]:
        """Of what is not settled yet."""
        return {item.claimed.lease_id for item in (*self._waiting, *self._flying)}

    def put(self, claimed: Claimed, ended: Ended, ms: int) -> None:
        """Never waits: what runs already may always say how it ended. `full` stops claiming."""
        said = ends.said(claimed.lease_id, claimed.job_id, ended, ms)
        self._waiting.append(Item(claimed, ended.outcome, ms, said))
        self._bytes += len(said)
        if not self._some.is_set():
            self._some.set()
            self._empty.clear()
        if self.full:
            self._room.clear()

    async def room(self) -> None:
        """Until the buffer takes more."""
        await self._room.wait()

    async def flushed(self) -> None:
        """Until everything that was put in is settled."""
        await self._empty.wait()

    async def run(self) -> None:
        """Never returns; to be cancelled when the worker is fenced: what is left would be refused."""
        while True:
            await self._some.wait()
            await self._settle(self._take())
            self._flying = ()
            if not self._waiting:
                self._some.clear()
                self._empty.set()

    def _take(self) -> list[Item]:
        taken: list[Item] = []
        size = 0
        while self._waiting and len(taken) < jobs.SETTLE_MOST:
            size += len(self._waiting[0].json)
            if taken and size > _STATEMENT_BYTES:
                break
            taken.append(self._waiting.popleft())
        self._away = len(taken)
        self._flying = taken
        telemetry.SETTLE_QUEUE_ROWS.set(len(self._waiting))
        return taken

    async def _settle(self, items: Sequence[Item]) -> None:
        """Until each of them is answered."""
        try:
            news = await self._say(items)
        except Error as refused:
            await self._isolate(items, refused)
            return
        self._bytes -= sum(len(item.json) for item in items)
        self._away -= len(items)
        if not self.full:
            self._room.set()
        self._on_settled(self._meters.settled(items, news))

    async def _say(self, items: Sequence[Item]) -> list[Settled]:
        """The statement, repeated as long as the database is not there."""
        said = b"[" + b",".join([item.json for item in items]) + b"]"
        pause = _FIRST_PAUSE
        while True:
            begun = time.perf_counter()
            try:
                async with self._db.connection() as conn:
                    news = await jobs.settle(conn, self._worker, said)
            except Unavailable as away:
                log.warning("settle failed", code=away.code, items=len(items))
            else:
                telemetry.SETTLE_SECONDS.observe(time.perf_counter() - begun)
                return news
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  jitter, no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _isolate(self, items: Sequence[Item], refused: Error) -> None:
        """The database will not have this batch: find out which item it is."""
        if len(items) > 1:
            half = len(items) // 2
            await self._settle(items[:half])
            await self._settle(items[half:])
            return
        (item,) = items
        lost = item.claimed
        log.error("result cannot be stored", job=str(lost.job_id), queue=lost.queue, code=refused.code)
        bare = ends.bare(lost.lease_id, lost.job_id, item.outcome, item.ms)
        self._bytes -= len(item.json)
        self._away -= 1
        if bare != item.json:
            self._away += 1
            self._bytes += len(bare)
            await self._settle([Item(lost, item.outcome, item.ms, bare)])
