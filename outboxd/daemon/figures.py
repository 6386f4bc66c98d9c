"""Figures about the shared database, read when somebody scrapes, at most every 5 s."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable

import structlog

from outboxd import __version__, telemetry
from outboxd.db.pool import Database
from outboxd.errors import Unavailable
from outboxd.store import measures
from outboxd.store.measures import Measured, Spent, Table

log = structlog.get_logger()

_FRESH = 5.0
_MINUTE = 60.0
_ENDPOINT_STATES = (("enabled",), ("resting",), ("paused",), ("disabled",))


class Figures:
    """One a process, for both of its doors. Every process reports the same: aggregate with `max`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._cost = Cost()
        self._read_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def refresh(self) -> None:
        """Reads them anew if they are old. With the database away they stay as they were."""
        async with self._one_at_a_time:
            if time.monotonic() - self._read_at < _FRESH:
                return
            self._read_at = time.monotonic()
            self._show_pool()
            try:
                async with self._db.connection() as conn:
                    found = await measures.read(conn)
            except Unavailable as away:
                log.info("figures not read", code=away.code)
                return
            _show(found)
            wal_bytes, dead_rows = self._cost.per_job(time.monotonic(), found.spent)
            telemetry.WAL_BYTES_PER_JOB.set(wal_bytes)
            telemetry.DEAD_ROWS_PER_JOB.set(dead_rows)

    def _show_pool(self) -> None:
        pool = self._db.stats()
        free = pool.get("pool_available", 0)
        connections: Table = {("free",): free, ("used",): pool.get("pool_size", 0) - free}
        telemetry.show(telemetry.DB_POOL_CONNECTIONS, connections)


class Cost:
    """What the server spent on a job, between now and a minute ago, or as long as it was watched."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Spent]] = deque()

    def per_job(self, at: float, spent: Spent) -> tuple[float, float]:
        """Bytes of WAL and dead rows for each attempt; 0 while there was none."""
        # The one that is a minute old stays: the window is at least that long, once it can be.
        while len(self._seen) > 1 and self._seen[1][0] <= at - _MINUTE:
            self._seen.popleft()
        if self._seen and spent.attempts < self._seen[0][1].attempts:
            self._seen.clear()
        self._seen.append((at, spent))
        before = self._seen[0][1]
        jobs = spent.attempts - before.attempts
        if not jobs:
            return 0.0, 0.0
        wal, dead = spent.wal_bytes - before.wal_bytes, spent.dead_rows - before.dead_rows
        return max(wal, 0.0) / jobs, max(dead, 0.0) / jobs


def _show(found: Measured) -> None:
    for gauge, table in (
        (telemetry.QUEUE_DUE, found.due),
        (telemetry.QUEUE_PAUSED, found.paused),
        (telemetry.DEAD_LETTERS, found.dead_letters),
        (telemetry.LANES_BLOCKED, found.lanes_blocked),
    ):
        telemetry.show(gauge, _labelled(table, sum))
    telemetry.show(telemetry.QUEUE_OLDEST_SECONDS, _labelled(found.oldest, max))
    held: Counter[tuple[str, ...]] = Counter()
    for (reason,), jobs in found.held.items():
        held[telemetry.held_label(reason),] += int(jobs)
    telemetry.show(telemetry.JOBS_HELD, held)
    # A state that nobody is in says 0, so that a rise from there is one.
    telemetry.show(telemetry.ENDPOINTS, {**dict.fromkeys(_ENDPOINT_STATES, 0.0), **found.endpoints})
    for gauge, table in (
        (telemetry.WORKERS, found.workers),
        (telemetry.STUCK_JOBS, found.stuck),
        (telemetry.PROVIDER_HELD, found.providers),
        (telemetry.TABLE_DEAD_ROWS, found.dead_rows),
        (telemetry.CHORE_LAST_SUCCESS, found.chores),
    ):
        telemetry.show(gauge, table)
    telemetry.built(__version__, found.schema)
    telemetry.PENDING_ROWS.set(found.pending)
    telemetry.PENDING_OLDEST_SECONDS.set(found.pending_oldest)
    telemetry.INTERACTIONS_PENDING.set(found.questions)
    telemetry.INTERACTIONS_OLDEST_PENDING_SECONDS.set(found.question_oldest)
    telemetry.XMIN_AGE_SECONDS.set(found.xmin_age)
    telemetry.NOTIFY_QUEUE_RATIO.set(found.notify_queue)


def _labelled(table: Table, merged: Callable[[list[float]], float]) -> Table:
    """By the closed set of labels: several queues may share one."""
    gathered: dict[tuple[str, ...], list[float]] = {}
    for (prefix, handler), value in table.items():
        gathered.setdefault((telemetry.queue_label(prefix, handler),), []).append(value)
    return {labels: merged(values) for labels, values in gathered.items()}
