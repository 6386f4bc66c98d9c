"""Partitions are made ahead, and dropped when they are old and nothing in them lives.

    old? ─▶ alive? ─no▶ (feed: floor, committed) ─▶ detach concurrently ─▶ alive now? ─no▶ drop
                                                      │ lock_timeout          │ yes
                                                      ▼                       ▼
                                             the next run ends it        attached again

A detach that ran into its lock_timeout leaves the partition invisible and every later one refused,
so each run starts with what an earlier one left. Detaching works outside transactions only, on a
direct connection; a session lock, tried and never waited for, keeps it to one process at a time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from psycopg.rows import dict_row

from outboxd.config import Config
from outboxd.db import faults, locks
from outboxd.db.link import Link, configure, reachable
from outboxd.store import partitions as store
from outboxd.store.partitions import Partition

log = structlog.get_logger()

_LOCK = (28516, 0)
_PATIENCE = timedelta(minutes=5)


class Partitions:
    """The two chores."""

    def __init__(self, direct: str, config: Config) -> None:
        self._dsn = reachable(direct, config.net_timeout, "outboxd partitions")
        self._kept: dict[str, timedelta | None] = {
            "jobs": config.job_days,
            "attempts": config.job_days,
            "feed": config.feed_days,
            "audit_log": config.audit_days,
        }

    async def make(self) -> int:
        """Makes what will be needed in the next days."""
        async with self._session() as conn:
            return await store.make_partitions(conn)

    async def drop(self) -> int:
        """How many were dropped; none if another process is at it."""
        async with self._session() as conn:
            if not await locks.try_session(conn, _LOCK):
                return 0
            await self._clean_up(conn)
            now = await store.now(conn)
            # A project may keep its events longer than the rest; then they are all let go at that age.
            kept = self._kept | {"events": await store.longest_kept(conn)}
            old = [part for part in await store.listed(conn) if _is_old(part, now, kept.get(part.parent))]
            return sum([await self._retire(conn, part) for part in old])

    async def _clean_up(self, conn: Link) -> None:
        """Ends what a run before this one began."""
        for part in await store.listed(conn):
            if part.pending:
                await store.finish(conn, part)
            if part.pending or not part.attached:
                await self._bury(conn, part)

    async def _retire(self, conn: Link, part: Partition) -> bool:
        if await store.alive(conn, part):
            log.info("partition held", partition=part.name)
            return False
        if part.parent == "feed":
            await store.raise_floor(conn, part)
        await store.detach(conn, part)
        return await self._bury(conn, part)

    async def _bury(self, conn: Link, part: Partition) -> bool:
        # What came alive while it was being detached has the last word.
        if await store.alive(conn, part):
            await store.attach(conn, part)
            log.info("partition attached again", partition=part.name)
            return False
        await store.drop(conn, part)
        log.info("partition dropped", partition=part.name)
        return True

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Link]:
        with faults.translated():
            async with await Link.connect(self._dsn, autocommit=True, row_factory=dict_row) as conn:
                conn.silence = _PATIENCE
                await configure(conn)
                await conn.execute(b"set time zone 'UTC'; set lock_timeout = '2s'")
                yield conn


def _is_old(part: Partition, now: datetime, kept: timedelta | None) -> bool:
    """`kept` None: for ever."""
    return kept is not None and part.ended_at <= now - kept
