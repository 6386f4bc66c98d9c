"""Peers from PyPI, each by its own documented fast path and best batch size, same payload and handler.

A peer that cannot be imported or fails is `n/a` with the reason, never 0 and never left out. Every
adapter has the methods of `raw.Raw`; they run in a process of their own (`drain`).
"""

import asyncio
import importlib.metadata
import logging
import time
from datetime import timedelta
from typing import Any


def version(package: str) -> str:
    """The installed version; ImportError when there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as missing:
        raise ImportError(f"{package} is not installed: pip install 'outboxd[bench]'") from missing


class Procrastinate:
    """procrastinate on its psycopg connector: `batch_defer`, one worker with `concurrency` = batch."""

    name = "procrastinate"

    def __init__(self, dsn: str) -> None:
        self.version = version("procrastinate")
        import procrastinate

        # A line a job is its default; a worker that has to be fast is told to be quiet.
        logging.getLogger("procrastinate").setLevel(logging.WARNING)
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))
        self._seen = 0

        @self._app.task(name="noop", pass_context=False)  # type: ignore[untyped-decorator]
        async def noop(body: str) -> None:
            self._seen += 1

        self._task = noop

    def setup(self) -> None:
        async def run() -> None:
            async with self._app.open_async():
                await self._app.schema_manager.apply_schema_async()

        asyncio.run(run())

    def enqueue(self, jobs: int, payload: str) -> None:
        async def run() -> None:
            async with self._app.open_async():
                for at in range(0, jobs, 1000):
                    rows = [{"body": payload}] * min(1000, jobs - at)
                    await self._task.configure().batch_defer_async(*rows)

        asyncio.run(run())

    def drain(self, jobs: int, batch: int) -> tuple[int, float]:
        """Until its worker, told not to wait, has run them all and stopped."""

        async def run() -> float:
            async with self._app.open_async():
                start = time.perf_counter()
                await self._app.run_worker_async(wait=False, concurrency=batch, install_signal_handlers=False)
                return time.perf_counter() - start

        seconds = asyncio.run(run())
        return self._seen, seconds


class PgQueuer:
    """pgqueuer on asyncpg and uvloop, as its own command runs it: batch enqueue, `run` in drain mode.

    With its recommended autovacuum settings, and 500 a batch, where it was fastest of 100, 500 and 1,000.
    """

    name = "pgqueuer"
    batch = 500

    def __init__(self, dsn: str) -> None:
        self.version = version("pgqueuer")
        import asyncpg
        import pgqueuer
        import uvloop

        self._lib, self._driver, self._run, self._dsn = pgqueuer, asyncpg, uvloop.run, dsn
        self._seen = 0

    async def _connect(self) -> Any:
        return self._lib.AsyncpgDriver(await self._driver.connect(_url(self._dsn)))

    def setup(self) -> None:
        async def run() -> None:
            queries = self._lib.Queries(await self._connect())
            await queries.install()
            await queries.optimize_autovacuum()

        self._run(run())

    def enqueue(self, jobs: int, payload: str) -> None:
        async def run() -> None:
            queries = self._lib.Queries(await self._connect())
            for at in range(0, jobs, 1000):
                n = min(1000, jobs - at)
                await queries.enqueue(["noop"] * n, [payload.encode()] * n, [0] * n)

        self._run(run())

    def drain(self, jobs: int, batch: int) -> tuple[int, float]:
        """Until its worker in drain mode has run them all and stopped."""

        async def run() -> float:
            from pgqueuer.types import QueueExecutionMode

            queuer = self._lib.PgQueuer(await self._connect())

            @queuer.entrypoint("noop")  # type: ignore[untyped-decorator]
            async def noop(job: Any) -> None:
                self._seen += 1

            start = time.perf_counter()
            await queuer.run(
                dequeue_timeout=timedelta(seconds=1),
                batch_size=max(batch, self.batch),
                mode=QueueExecutionMode.drain,
            )
            return time.perf_counter() - start

        seconds = self._run(run())
        return self._seen, seconds


def _url(dsn: str) -> str:
    """asyncpg takes a URL, and a socket folder as `host` in its query."""
    from urllib.parse import urlencode

    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(dsn)
    names = {"host": "host", "port": "port", "user": "user", "password": "password"}
    query = {ours: str(parts[theirs]) for theirs, ours in names.items() if parts.get(theirs)}
    return f"postgresql:///{parts['dbname']}?{urlencode(query)}"
