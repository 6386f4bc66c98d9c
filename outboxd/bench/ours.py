"""outboxd as its own adapter: the real worker, with a Python handler that does nothing, or waits."""

import asyncio
import logging
import time
from datetime import timedelta

import structlog

from outboxd import __version__
from outboxd.bench import tenants
from outboxd.daemon.pace import run
from outboxd.db import migrate
from outboxd.db.pool import Database
from outboxd.loops.wakes import Wakes
from outboxd.loops.worker import Worker
from outboxd.model import Job
from outboxd.model.contract import Handler, Run
from outboxd.store.workers import Offer

_LOOK_EVERY = 0.02
_EMPTY = b"select not exists (select from outbox.ready) and not exists (select from outbox.leases) as empty"


class Outboxd:
    """The adapter of `drain`. It has twice as many slots as a claim takes: one batch runs, the next comes."""

    name = "outboxd"
    version = __version__

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._seen = 0
        self.wait = 0.0
        """Seconds that the handler waits."""
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    def setup(self) -> None:
        asyncio.run(migrate.migrate(self._dsn))

    def enqueue(self, jobs: int, payload: str) -> None:
        tenants.enqueue(self._dsn, jobs, payload, tenants.prepare(self._dsn))

    def drain(self, jobs: int, batch: int) -> tuple[int, float]:
        """Until `jobs` have run here, or nothing is left; the worker's parting is counted in."""
        tenants.lease_size(self._dsn, batch)
        seconds = run(self._drain(jobs, batch))
        return self._seen, seconds

    async def _drain(self, jobs: int, batch: int) -> float:
        stop = asyncio.Event()

        async def noop(job: Job, told: Run) -> None:
            if self.wait:
                await asyncio.sleep(self.wait)
            self._seen += 1
            if self._seen == jobs:
                stop.set()

        handlers = {tenants.HANDLER: Handler(name=tenants.HANDLER, call=noop, open=True)}
        async with Database.open(self._dsn) as db:
            offer = Offer(name="bench", handlers=tuple(handlers), slots=2 * batch)
            worker = Worker(db, Wakes(), handlers, offer, dsn=self._dsn, drain=timedelta(seconds=30))
            start = time.perf_counter()
            watch = asyncio.create_task(self._watch(db, stop))
            await worker.run(stop, asyncio.Event())
            watch.cancel()
            return time.perf_counter() - start

    async def _watch(self, db: Database, stop: asyncio.Event) -> None:
        """Another process may have had the rest: when nothing runs here any more, look."""
        before = -1
        while not stop.is_set():
            await asyncio.sleep(_LOOK_EVERY)
            if self._seen == before:
                async with db.connection() as conn:
                    row = await (await conn.execute(_EMPTY)).fetchone()
                if row is not None and row["empty"]:
                    stop.set()
            before = self._seen
