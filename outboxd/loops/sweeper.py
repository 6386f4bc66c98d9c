"""Upkeep: chores that every process does now and then, each on its own.

A chore that raises or hangs stops no other: each has a task, a time limit, and a row in
`outbox.chores` that says when it last went well, written every 45 s. Each is bounded per run
and comes again at once when its run was full. All of them are safe on many processes at once.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec
import structlog

from outboxd import telemetry
from outboxd.db.pool import Database
from outboxd.errors import Error, Unavailable
from outboxd.store import chores as store

log = structlog.get_logger()

_FIRST_WITHIN = 30.0
_WRITE_EVERY = timedelta(seconds=45)
_AFTER_FAILURE = 1.0
_FULL_RUNS = 100
"""In a row; then the others get the connection for a while."""


class Chore(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    interval: timedelta
    once: Callable[[], Awaitable[int]]
    """How many rows it dealt with."""
    full: int | None = None
    """So many rows mean that there are more."""
    asked: bool = False
    """Runs when a poll has seen work for it, not by time."""
    spaced: bool = False
    """As asked, and not sooner than its interval after the last run: a look cannot tell what is left."""
    limit: timedelta = timedelta(seconds=35)
    """Of one run; the statements in it have 30 s."""


class Sweeper:
    """`run()` in a task of its own."""

    def __init__(
        self, db: Database, chores: Sequence[Chore], *, write_every: timedelta = _WRITE_EVERY
    ) -> None:
        self._db = db
        self._chores = {chore.name: chore for chore in chores}
        self._asked = {chore.name: asyncio.Event() for chore in chores}
        self._succeeded: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._elsewhere: dict[str, Callable[[], float]] = {}
        self._write_every = write_every

    @property
    def running(self) -> dict[str, float]:
        """Chores that run now, and for how many seconds."""
        return {name: round(time.monotonic() - since, 3) for name, since in self._begun.items()}

    def ask(self, name: str) -> None:
        """There is work for that chore: it runs now."""
        self._asked[name].set()

    def idle(self, name: str) -> None:
        """A poll saw no work for that chore, which is as good as a run."""
        self._succeeded[name] = time.monotonic()

    def done_elsewhere(self, name: str, age: Callable[[], float]) -> None:
        """A chore that another loop sees to; `age`: seconds since it last went well."""
        self._elsewhere[name] = age

    async def run(self) -> None:
        """Never returns."""
        async with asyncio.TaskGroup() as group:
            for chore in self._chores.values():
                group.create_task(self._repeat(chore), name=f"chore {chore.name}")
            group.create_task(self._write(), name="chore successes")

    async def once(self, name: str) -> int | None:
        """One run; None when it failed, which is told and remembered."""
        chore = self._chores[name]
        self._begun[name] = time.monotonic()
        try:
            with telemetry.CHORE_SECONDS.labels(name).time():
                async with asyncio.timeout(chore.limit.total_seconds()):
                    done = await chore.once()
        except Exception as failed:  # noqa: BLE001 - isolation: one chore's defect is not another's
            await self._failed(name, failed)
            return None
        finally:
            self._begun.pop(name, None)
        telemetry.CHORE_ROWS_TOTAL.labels(name).inc(done)
        self._succeeded[name] = time.monotonic()
        return done

    async def write(self) -> None:
        """Remembers in the database what went well since the last time."""
        now = time.monotonic()
        ages = {name: timedelta(seconds=now - at) for name, at in self._succeeded.items()}
        ages |= {name: timedelta(seconds=age()) for name, age in self._elsewhere.items()}
        if ages:
            async with self._db.connection() as conn:
                await store.succeeded(conn, ages)
            self._succeeded = {name: at for name, at in self._succeeded.items() if at > now}

    async def _repeat(self, chore: Chore) -> None:
        asked = self._asked[chore.name]
        # Processes that start together do not sweep together.
        pause = random.uniform(0, min(chore.interval.total_seconds(), _FIRST_WITHIN))  # noqa: S311
        if chore.spaced:
            await asyncio.sleep(pause)
        while True:
            await _until(asked, None if chore.asked or chore.spaced else pause)
            asked.clear()
            pause = chore.interval.total_seconds()
            for _ in range(_FULL_RUNS):
                done = await self.once(chore.name)
                if done is None:
                    await asyncio.sleep(_AFTER_FAILURE)
                if done is None or chore.full is None or done < chore.full:
                    break
            if chore.spaced:
                await asyncio.sleep(pause)

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(self._write_every.total_seconds())
            try:
                await self.write()
            except Unavailable as away:
                log.info("chores not remembered", code=away.code)

    async def _failed(self, name: str, failed: Exception) -> None:
        telemetry.CHORE_FAILURES_TOTAL.labels(name).inc()
        code = failed.code if isinstance(failed, Error) else type(failed).__name__
        away = isinstance(failed, Unavailable)
        log.warning("chore failed", chore=name, code=code, exc_info=None if away else failed)
        try:
            async with self._db.connection() as conn:
                await store.failed(conn, name, code)
        except Unavailable:
            log.debug("chore's failure not remembered", chore=name)


async def _until(event: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
