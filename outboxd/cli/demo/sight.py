"""What the database says of jobs and workers, and waiting for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from psycopg import sql

from outboxd.cli.demo.place import Place
from outboxd.cli.demo.stage import LIMIT, Unmet
from outboxd.db.pool import Database

_LOOK = 0.015

_OBJECTS = b"""
select (select count(*) from pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'p')
    and not c.relispartition) as tables,
  (select count(*) from pg_class c where c.relnamespace = n.oid and c.relkind = 'v') as views,
  (select count(*) from pg_proc p where p.pronamespace = n.oid) as functions
from pg_namespace n where n.nspname = 'outbox'
"""
_RUNNING = b"""
select w.pid, count(*) as running from outbox.open_leases l join outbox.live_workers w using (worker_id)
where l.queue = %s group by w.pid
"""
_LOST = b"""
select count(*) as jobs, extract(epoch from max(a.at))::float8 as rescued_at
from outbox.attempts a join outbox.jobs j on j.id = a.job_id join outbox.queues q on q.id = j.queue_id
where q.name = %s and a.outcome = 'lost'
"""
_TRACES = b"""
select (select count(*) from outbox.events where id = %(event)s)
  + (select count(*) from outbox.jobs where event_id = %(event)s)
  + (select count(*) from outbox.pending where event_id = %(event)s) as found
"""
_LEDGER = b"""
select a.outcome from outbox.attempts a join outbox.jobs j on j.id = a.job_id
where j.event_id = %s order by a.no
"""


async def until(place: Place, what: str, holds: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Raises Unmet when it does not come within the limit, or one of our processes has ended."""
    deadline = time.monotonic() + LIMIT.total_seconds()
    while True:
        seen = holds()
        if seen if isinstance(seen, bool) else await seen:
            return
        place.check_alive()
        if time.monotonic() > deadline:
            raise Unmet(f"waited {LIMIT.total_seconds():.0f} s in vain for {what}")
        await asyncio.sleep(_LOOK)


class Sight:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def objects(self) -> dict[str, Any]:
        """How many tables, views and functions the schema has."""
        return (await self._rows(_OBJECTS))[0]

    async def workers(self) -> set[int]:
        """The pids of those that are alive."""
        found = await self._rows(b"select pid from outbox.live_workers where state = 'alive'")
        return {row["pid"] for row in found}

    async def running(self, queue: str) -> dict[int, int]:
        """Pid of a worker → how many jobs of the queue it has in hand."""
        return {row["pid"]: row["running"] for row in await self._rows(_RUNNING, (queue,))}

    async def lost(self, queue: str) -> tuple[int, float]:
        """How many executions died with their worker, and when the last was taken back (Unix time)."""
        [row] = await self._rows(_LOST, (queue,))
        return row["jobs"], row["rescued_at"] or 0.0

    async def effects(self, table: str) -> tuple[int, int]:
        """Rows in a table of the shop, and of how many events they are."""
        query = sql.SQL("select count(*) as rows, count(distinct event_id) as events from {}")
        [row] = await self._rows(query.format(sql.Identifier("shop", table)).as_bytes())
        return row["rows"], row["events"]

    async def doers(self, table: str) -> set[int]:
        """The pids of the workers that wrote there."""
        query = sql.SQL("select distinct worker_pid from {}").format(sql.Identifier("shop", table))
        return {row["worker_pid"] for row in await self._rows(query.as_bytes())}

    async def traces(self, event: UUID) -> int:
        """Rows that anything of ours holds about an event."""
        found: int = (await self._rows(_TRACES, {"event": event}))[0]["found"]
        return found

    async def ledger(self, event: UUID) -> list[str]:
        """What happened to its job, attempt by attempt."""
        return [row["outcome"] for row in await self._rows(_LEDGER, (event,))]

    async def _rows(self, query: bytes, values: Any = ()) -> list[dict[str, Any]]:
        async with self._db.connection() as conn:
            return await (await conn.execute(query, values)).fetchall()
