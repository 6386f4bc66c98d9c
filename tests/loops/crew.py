"""A worker at work in the test's own loop, and what tests ask about its jobs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db.listen import Listener
from outboxd.db.pool import Database
from outboxd.handlers import handler, python
from outboxd.loops.wakes import Wakes
from outboxd.loops.worker import Worker
from outboxd.model.contract import Handler
from outboxd.store.workers import Offer
from tests.waiting import until

Conn = AsyncConnection[dict[str, Any]]
App = python.App | Mapping[str, Callable[..., Any]]

BEAT = timedelta(milliseconds=200)


class Shop:
    """A worker that runs, and the two events that end it."""

    def __init__(self, worker: Worker, wakes: Wakes) -> None:
        self.worker = worker
        self.wakes = wakes
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def worker_id(self) -> UUID:
        assert self.worker.worker_id is not None
        return self.worker.worker_id

    async def close(self, limit: float = 10) -> None:
        """Drains it and waits for that."""
        self.stop.set()
        assert self.task is not None
        async with asyncio.timeout(limit):
            await self.task


class Crew:
    """One project, its jobs, and workers for them."""

    def __init__(self, dsn: str, db: Database, conn: Conn) -> None:
        self.dsn = dsn
        self.db = db
        self.conn = conn
        self.project = uuid4()
        self.team = uuid4()

    @classmethod
    async def made(cls, dsn: str, db: Database, conn: Conn) -> "Crew":
        crew = cls(dsn, db, conn)
        await conn.execute(
            "insert into outbox.teams (id, name, created_at, updated_at)"
            " values (%s, 'crew', outbox.clock(), outbox.clock())",
            [crew.team],
        )
        await conn.execute(
            "insert into outbox.projects (id, team_id, name, created_at, updated_at)"
            " values (%s, %s, 'crew', outbox.clock(), outbox.clock())",
            [crew.project, crew.team],
        )
        await conn.execute("select outbox.open_stream(%s)", [crew.project])
        return crew

    @asynccontextmanager
    async def at_work(
        self,
        app: App | list[Handler],
        *,
        slots: int = 10,
        threads: int = 4,
        beat: timedelta = BEAT,
        drain: timedelta = timedelta(seconds=5),
        listener: Listener | None = None,
        db: Database | None = None,
        dsn: str | None = None,
        upkeep: bool = True,
        queues: dict[str, str] | None = None,
        declared: Any = None,
    ) -> AsyncIterator[Shop]:
        """A worker that knows these handlers; drained at the end of the block."""
        known = self.registry(app)
        wakes = Wakes()
        offer = Offer(name="crew", slots=slots, beat=beat)
        worker = Worker(
            db or self.db,
            wakes,
            known,
            offer,
            dsn=dsn or self.dsn,
            listener=listener,
            threads=threads,
            drain=drain,
            net_timeout=timedelta(seconds=2),
            queues=queues,
            declared=declared,
        )
        shop = Shop(worker, wakes)
        shop.task = asyncio.create_task(worker.run(shop.stop, shop.hurry))
        chores = asyncio.create_task(self._upkeep(wakes)) if upkeep else None
        try:
            await until(lambda: worker.worker_id is not None or done(shop.task))
            yield shop
        finally:
            shop.hurry.set()
            shop.stop.set()
            try:
                await asyncio.wait_for(shop.task, 10)
            finally:
                if chores is not None:
                    chores.cancel()
                    await asyncio.wait([chores])
                    # One that died would have the worker sleep, and the test wait for nothing.
                    assert chores.cancelled(), chores.exception()

    def registry(self, app: App | list[Handler]) -> dict[str, Handler]:
        if isinstance(app, list):
            return handler.registry(app)
        given = app if isinstance(app, python.App) else python.App(handlers=app)
        return handler.registry(python.handlers(given))

    async def _upkeep(self, wakes: Wakes) -> None:
        """What the other loops of a process do, often."""
        while True:
            async with self.db.connection() as conn:
                await conn.execute("select outbox.stage()")
                await conn.execute("select outbox.reap()")
            wakes.queues.wake(("*",))
            await asyncio.sleep(0.05)

    async def enqueue(
        self, handler_name: str = "work", payload: Any = None, queue: str | None = None, **options: Any
    ) -> UUID:
        options = {"handler": handler_name} | options
        given = Jsonb(payload or {})
        cur = await self.conn.execute(
            "select job_id from outbox.enqueue(outbox.me(), %s, %s, %s, %s)",
            [queue or handler_name.replace("sql:", "sql-"), given, self.project, Jsonb(options)],
        )
        row = await cur.fetchone()
        assert row is not None
        return UUID(str(row["job_id"]))

    async def enqueue_many(self, n: int, **options: Any) -> list[UUID]:
        return [await self.enqueue(**options) for _ in range(n)]

    async def rows(self, statement: str, *given: Any) -> list[dict[str, Any]]:
        return await (await self.conn.execute(statement.encode(), list(given) or None)).fetchall()

    async def value(self, statement: str, *given: Any) -> Any:
        (row,) = await self.rows(statement, *given)
        (value,) = row.values()
        return value

    async def attempts(self, job: UUID) -> list[dict[str, Any]]:
        return await self.rows("select * from outbox.attempts where job_id = %s order by no", job)

    async def outcomes(self, job: UUID) -> list[str]:
        return [attempt["outcome"] for attempt in await self.attempts(job)]

    async def attempt(self, job: UUID, outcome: str | None = None, limit: float = 10) -> dict[str, Any]:
        """The last row of the ledger about it, as soon as there is one (of that outcome)."""
        seen: list[dict[str, Any]] = []

        async def there() -> bool:
            seen[:] = await self.attempts(job)
            return bool(seen) and outcome in {None, seen[-1]["outcome"]}

        try:
            await until(there, limit)
        except TimeoutError:
            why = await self.rows("select reason, detail from outbox.why(%s)", job)
            raise AssertionError(
                f"{outcome or 'no end'} never came: {await self.where(job)} {why} {seen}"
            ) from None
        return seen[-1]

    async def where(self, job: UUID) -> list[str]:
        """In which tables it stands."""
        found = await self.rows(
            """
            select 'ready' as place from outbox.ready where job_id = %(job)s
            union all select 'later' from outbox.later where job_id = %(job)s
            union all select 'leases' from outbox.leases where %(job)s = any (job_ids)
            union all select 'dead_letters' from outbox.dead_letters where job_id = %(job)s
            """.replace("%(job)s", f"'{job}'::uuid")
        )
        return [row["place"] for row in found]

    async def hurry_up(self) -> None:
        """Whatever waits for its time is due now."""
        await self.conn.execute("update outbox.later set run_at = outbox.clock()")


def done(task: asyncio.Task[None] | None) -> bool:
    """Whether the worker has ended already; what it raised is raised."""
    if task is None or not task.done():
        return False
    task.result()
    return True


def told(payload: Any) -> Any:
    """What jsonb gives back, decoded."""
    return msgspec.json.decode(payload) if isinstance(payload, msgspec.Raw) else payload
