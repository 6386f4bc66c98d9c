"""The engine by its SQL verbs alone: look, claim, settle over plain connections, without a worker's loop.

What any program can do that speaks SQL; the measure of what the database's part costs. It settles
what it has claimed before it claims again, so batches are as large as was asked for.
"""

import asyncio
import time
from uuid import UUID

import msgspec

from outboxd import __version__
from outboxd.bench import tenants
from outboxd.db import migrate
from outboxd.db.pool import Database
from outboxd.loops import ends
from outboxd.loops.spots import Spots
from outboxd.model import Claimed
from outboxd.store import jobs, workers
from outboxd.store.workers import Offer

_BEAT = 3.0


class Settled(msgspec.Struct, frozen=True, gc=False):
    """One settled batch: seconds since the start, and how many jobs."""

    at: float
    jobs: int


async def drain(
    dsn: str, batch: int, *, connections: int = 1, seconds: float | None = None, projects: int = 1
) -> list[Settled]:
    """Every batch that was settled, until nothing is due or that many seconds are over."""
    async with Database.open(dsn, pool_min=connections, pool_max=connections + 1) as db:
        async with db.connection() as conn:
            worker = (await workers.enlist(conn, Offer(name="bench", handlers=(tenants.HANDLER,)))).worker_id
        turns = [_Turns(db, worker, batch, max(batch, projects)) for _ in range(connections)]
        start = time.perf_counter()
        end = start + seconds if seconds is not None else None
        found = await asyncio.gather(*(turn.run(start, end) for turn in turns))
        async with db.connection() as conn:
            await workers.retire(conn, worker)
    return sorted((one for each in found for one in each), key=lambda one: one.at)


def rate(settled: list[Settled]) -> float:
    """Jobs a second from the start to the last of them."""
    return sum(one.jobs for one in settled) / settled[-1].at if settled else 0


class _Turns:
    """One connection's look, claim, settle, over and over."""

    def __init__(self, db: Database, worker: UUID, batch: int, page: int) -> None:
        self._db, self._worker, self._batch, self._page = db, worker, batch, page
        self._spots = Spots()

    async def run(self, start: float, end: float | None) -> list[Settled]:
        seen: list[Settled] = []
        beat = start
        async with self._db.connection() as conn:
            while end is None or time.perf_counter() < end:
                if time.perf_counter() - beat > _BEAT:
                    await conn.execute("select outbox.beat(%s)", [self._worker])
                    beat = time.perf_counter()
                claimed = await self._claim(conn)
                if claimed:
                    await jobs.settle(conn, self._worker, _completed(claimed))
                    seen.append(Settled(time.perf_counter() - start, len(claimed)))
                elif not self._spots and not await jobs.look(conn, self._worker, limit=1):
                    break
        return seen

    async def _claim(self, conn: workers.Conn) -> list[Claimed]:
        if self._spots.stale:
            self._spots.fill(await jobs.look(conn, self._worker, limit=self._page))
        wants = self._spots.pick(self._batch, {})
        if not wants:
            self._spots.forget()
            return []
        claimed = await jobs.claim(conn, self._worker, self._batch, wants)
        self._spots.took(claimed)
        return claimed


class Verbs:
    """The adapter of `drain`."""

    name = "SQL verbs"
    version = __version__

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def setup(self) -> None:
        asyncio.run(migrate.migrate(self._dsn))

    def enqueue(self, jobs: int, payload: str) -> None:
        tenants.enqueue(self._dsn, jobs, payload, tenants.prepare(self._dsn))

    def drain(self, jobs: int, batch: int) -> tuple[int, float]:
        """Until nothing is due."""
        tenants.lease_size(self._dsn, batch)
        settled = asyncio.run(drain(self._dsn, batch))
        return sum(one.jobs for one in settled), settled[-1].at if settled else 0


def _completed(claimed: list[Claimed]) -> bytes:
    said = (ends.said(job.lease_id, job.job_id, ends.COMPLETED, 1) for job in claimed)
    return b"[" + b",".join(said) + b"]"
