"""The chores, as a list."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from psycopg import sql
from psycopg.rows import dict_row

from outboxd import telemetry
from outboxd.config import Config
from outboxd.db import faults
from outboxd.db.link import Link, reachable
from outboxd.db.pool import Database
from outboxd.loops.debezium import Debezium
from outboxd.loops.partitions import Partitions
from outboxd.loops.requests import ROWS, Requests
from outboxd.loops.scheduler import MOST, Scheduler
from outboxd.loops.sweeper import Chore
from outboxd.loops.wakes import Wakes
from outboxd.store import chores as store
from outboxd.store import (
    consoles,
    deletion,
    deliveries,
    endpoint_keys,
    gatherings,
    idempotency,
    interactions,
    jobs,
    outboxevents,
    queues,
    rates,
    sessions,
    stream_tokens,
)
from outboxd.store.queues import Conn

log = structlog.get_logger()

_FIFTH = timedelta(milliseconds=200)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_TEN_MINUTES = timedelta(minutes=10)
_TEN_SECONDS = timedelta(seconds=10)
_HALF_MINUTE = timedelta(seconds=30)
_PATIENCE = timedelta(seconds=30)
"""Of a statement of upkeep."""
_REAPED = 20
_STAGED = 1000
_EXPIRED = 1000
_KEYS = 5000
_IDLE_ENDED = 100
_PURGED = 20
_UNDELIVERED = 500
_WORKERS_KEPT = timedelta(days=1)
_VACUUM = timedelta(minutes=10)
_HOT = ("ready", "later", "leases", "lanes", "pending")


def chores(
    db: Database, wakes: Wakes, config: Config, direct: str, requests: Requests | None = None
) -> tuple[Chore, ...]:
    """All that a process does, whatever its role. `direct` is the DSN past any pooler."""
    metering = requests or Requests(db)
    upkeep = Upkeep(db, wakes, config, direct)
    partitions = Partitions(direct, config)
    relay = Chore(name="debezium", interval=_FIFTH, once=Debezium(db, wakes).once, full=outboxevents.MOST)
    return (
        *([relay] if config.debezium_table else []),
        Chore(name="reap", interval=_SECOND, once=upkeep.reap, full=_REAPED, asked=True),
        Chore(name="stage", interval=_SECOND, once=upkeep.stage, full=_STAGED, asked=True),
        Chore(name="tick", interval=_SECOND, once=Scheduler(db, wakes).once, full=MOST, asked=True),
        Chore(name="expire", interval=_MINUTE, once=upkeep.expire, full=_KEYS, asked=True),
        Chore(
            name="sessions_idle", interval=_MINUTE, once=upkeep.sessions_idle, full=_IDLE_ENDED, spaced=True
        ),
        Chore(
            name="interactions",
            interval=_HALF_MINUTE,
            once=upkeep.interactions,
            full=interactions.SWEPT,
            asked=True,
        ),
        Chore(name="endpoints", interval=_MINUTE, once=upkeep.endpoints, full=_UNDELIVERED, spaced=True),
        Chore(name="retention", interval=_TEN_MINUTES, once=upkeep.retention, full=_EXPIRED),
        Chore(name="purge", interval=_TEN_SECONDS, once=upkeep.purge, full=1, asked=True),
        Chore(name="partitions_make", interval=_TEN_MINUTES, once=partitions.make),
        Chore(name="partitions_drop", interval=_TEN_MINUTES, once=partitions.drop, limit=_TEN_MINUTES),
        Chore(
            name="usage", interval=_TEN_SECONDS, once=partial(metering.sum_up, config.usage_days), full=ROWS
        ),
        Chore(name="vacuum", interval=_MINUTE, once=upkeep.vacuum, limit=_VACUUM, spaced=True),
    )


class Upkeep:
    """The body of each chore: one run, in transactions of its own."""

    def __init__(self, db: Database, wakes: Wakes, config: Config, direct: str) -> None:
        self._db = db
        self._wakes = wakes
        self._dead_days = config.dead_days
        self._interaction_days = config.interaction_days
        self._direct = reachable(direct, config.net_timeout, "outboxd upkeep")
        self._session: UUID | None = None
        """Behind which one the next look at ended sessions begins."""

    async def reap(self) -> int:
        """Takes back what dead workers held."""
        async with self._db.transaction(_PATIENCE) as conn:
            rescued = await jobs.reap(conn, _REAPED)
            woken = await store.queues_of(conn, {each.job_id for each in rescued})
        if rescued:
            telemetry.RESCUED_TOTAL.inc(len(rescued))
            log.warning("jobs rescued", jobs=len(rescued), workers=len({each.worker_id for each in rescued}))
            self._wakes.committed(
                {each.queue: each.handler for each in woken}, jobs=[each.job_id for each in rescued]
            )
        # Full is a matter of leases; whatever was found, there may be more.
        return _REAPED if rescued else 0

    async def stage(self) -> int:
        """Makes ready what has become due."""
        due = await self._db.run(lambda conn: queues.stage(conn, _STAGED), _PATIENCE)
        if due:
            self._wakes.committed({each.queue: each.handler for each in due})
        return sum(each.n for each in due)

    async def expire(self) -> int:
        """Ends what nobody may start any more, and drops keys, replies, tokens and sessions that are over."""
        ended = await self._run(lambda conn: jobs.expire(conn, _EXPIRED))
        forgotten = await self._run(lambda conn: store.forget_event_keys(conn, _KEYS))
        replies = await self._run(lambda conn: idempotency.forget(conn, _KEYS))
        tokens = await self._run(lambda conn: stream_tokens.forget(conn, _KEYS))
        signing = await self._run(lambda conn: endpoint_keys.forget(conn, _KEYS))
        consoled = await self._run(lambda conn: consoles.forget(conn, _KEYS))
        return _KEYS if ended >= _EXPIRED else max(ended, forgotten, replies, tokens, signing, consoled)

    async def sessions_idle(self) -> int:
        """Ends sessions that have gone quiet, also those that went on after an end."""
        ended, self._session = await self._db.run(
            lambda conn: sessions.end_idle(conn, _IDLE_ENDED, self._session), _PATIENCE
        )
        if ended:
            self._wakes.committed(sessions.QUEUES)
        return len(ended)

    async def interactions(self) -> int:
        """Ends questions past their time, which wakes who asked."""
        ended = await self._db.run(interactions.expire, _PATIENCE)
        for each in ended:
            telemetry.INTERACTIONS_TOTAL.labels(each.kind, "expired").inc()
        if ended:
            self._wakes.committed({}, interactions=[each.id for each in ended])
        return len(ended)

    async def endpoints(self) -> int:
        """Ends what waits for endpoints that were deleted."""
        return await self._run(lambda conn: deliveries.end(conn, _UNDELIVERED))

    async def retention(self) -> int:
        """Lets go what was kept long enough: dead letters, rows of workers that died, windows that nobody
        fills any more, what gathered for jobs that are gone, questions that are over; and jobs, by age."""
        ages = {"dead": self._dead_days, "interactions": self._interaction_days}
        outlived = await self._db.run(lambda conn: store.outlived(conn, **ages), _PATIENCE)
        parts: dict[str, Callable[[Conn], Awaitable[int]]] = {
            "dead": lambda conn: store.purge_dead(conn, self._dead_days, _EXPIRED),
            "rates": lambda conn: rates.forget(conn, _KEYS),
            "members": lambda conn: gatherings.forget(conn, _KEYS),
            "interactions": lambda conn: interactions.retain(conn, self._interaction_days),
        }
        done = [
            await self._run(lambda conn: jobs.expire(conn, _EXPIRED)),
            await self._run(lambda conn: store.forget_workers(conn, _WORKERS_KEPT, _EXPIRED)),
            await self._run(lambda conn: deletion.retain(conn, _KEYS)),
            *[await self._run(parts[name]) for name in outlived],
        ]
        return max(done)

    async def purge(self) -> int:
        """Goes on with the purges of projects that one request did not finish, a batch of each."""
        projects = await self._db.run(lambda conn: deletion.unfinished(conn, _PURGED), _PATIENCE)
        for project in projects:
            await self._db.run(partial(deletion.continue_purge, project=project), _PATIENCE)
        return len(projects)

    async def vacuum(self) -> int:
        """Sweeps hot tables between the turns of autovacuum, unless a snapshot makes it pointless."""
        async with self._db.connection(_PATIENCE) as conn:
            tables = await store.dirty(conn, _HOT)
            if not tables or await store.pinned(conn):
                return 0
        with faults.translated():
            async with await Link.connect(self._direct, autocommit=True, row_factory=dict_row) as conn:
                conn.silence = _VACUUM
                for table in tables:
                    name = sql.Identifier("outbox", table)
                    await conn.execute(
                        sql.SQL("vacuum (skip_locked, index_cleanup on, truncate off) {}").format(name)
                    )
        return len(tables)

    async def _run(self, body: Callable[[Conn], Awaitable[int]]) -> int:
        return await self._db.run(body, _PATIENCE)
