"""What tests of SQL verbs say often: a project, jobs in each state, claims and settles.

Everything goes through the granted verbs on the connection given, as an operator's psql would.
"""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from tests.clock import Clock

Conn = AsyncConnection[DictRow]
Row = dict[str, Any]

ONCE_EACH = """
select id, array_agg(place) as places from (
  select job_id as id, 'ready' as place from outbox.ready
  union all select job_id, 'later' from outbox.later
  union all select unnest(job_ids), 'leases' from outbox.leases
  union all select job_id, 'dead_letters' from outbox.dead_letters
  union all select a.job_id, 'ended' from outbox.attempts a
    where a.outcome in ('completed', 'cancelled', 'purged')
      and not exists (select from outbox.attempts b where b.job_id = a.job_id and b.no > a.no)
      and not exists (select from outbox.ready r where r.job_id = a.job_id)
) places right join outbox.jobs j using (id)
group by id having count(*) > 1 or (count(place) = 0 and min(ordering_key) is null)
"""


class Engine:
    """One team with one project, more on demand. The fake clock ticks a millisecond with each act."""

    def __init__(self, conn: Conn, clock: Clock) -> None:
        self.conn = conn
        self.clock = clock
        self.team = uuid4()
        self.project = uuid4()

    @classmethod
    async def made(cls, conn: Conn, clock: Clock) -> "Engine":
        engine = cls(conn, clock)
        await conn.execute(
            "insert into outbox.teams values (%s, %s, '{}', outbox.clock(), outbox.clock())",
            [engine.team, f"team {engine.team}"],
        )
        engine.project = await engine.add_project()
        return engine

    async def add_project(self, team: UUID | None = None) -> UUID:
        project = uuid4()
        await self.conn.execute(
            "insert into outbox.projects (id, team_id, name, created_at, updated_at)"
            " values (%s, %s, %s, outbox.clock(), outbox.clock())",
            [project, team or self.team, f"project {project}"],
        )
        await self.conn.execute("select outbox.open_stream(%s)", [project])
        return project

    async def add_team(self) -> UUID:
        team = uuid4()
        await self.conn.execute(
            "insert into outbox.teams values (%s, %s, '{}', outbox.clock(), outbox.clock())",
            [team, f"team {team}"],
        )
        return team

    async def rows(self, statement: str, *given: Any) -> list[Row]:
        cursor = await self.conn.execute(statement.encode(), list(given) or None)
        return await cursor.fetchall()

    async def row(self, statement: str, *given: Any) -> Row:
        (only,) = await self.rows(statement, *given)
        return only

    async def value(self, statement: str, *given: Any) -> Any:
        (only,) = (await self.row(statement, *given)).values()
        return only

    async def call(self, verb: str, *given: Any, caller: str = "outbox.me()", **named: Any) -> list[Row]:
        """`select * from outbox.<verb>(caller, given…, p_named => …)`, a millisecond later."""
        self.clock.forward(timedelta(milliseconds=1))
        parts = [sql.SQL(caller), *[sql.Placeholder()] * len(given)]
        parts += [sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder()) for name in named]
        statement = sql.SQL("select * from outbox.{}({})").format(
            sql.Identifier(verb), sql.SQL(", ").join(parts)
        )
        values = [Jsonb(value) if isinstance(value, dict) else value for value in [*given, *named.values()]]
        cursor = await self.conn.execute(statement, values)
        return await cursor.fetchall()

    async def refused(self, verb: str, *given: Any, caller: str = "outbox.me()", **named: Any) -> str | None:
        """The SQLSTATE with which that call is refused."""
        with pytest.raises(psycopg.Error) as failed:
            await self.call(verb, *given, caller=caller, **named)
        return failed.value.sqlstate

    # Jobs --------------------------------------------------------------------------------------------

    async def enqueue(self, queue: str = "work", project: UUID | None = None, **options: Any) -> UUID:
        made = await self.call("enqueue", queue, {"n": 1}, project or self.project, options)
        job: UUID = made[0]["job_id"]
        return job

    async def route(self, queue: str = "work", pattern: str = "x.*", project: UUID | None = None) -> UUID:
        (made,) = await self.call("add_route", pattern, queue, project or self.project)
        route: UUID = made["add_route"]
        return route

    async def publish(
        self, key: str | None = None, *, place: bool = True, run_at: Any = None, project: UUID | None = None
    ) -> UUID:
        """An event of type `x.y`; returns the job of its one route, which has its place unless told."""
        self.clock.forward(timedelta(milliseconds=1))
        event = await self.value(
            "select outbox.publish('x.y', '{}', p_project => %s, p_ordering_key => %s, p_run_at => %s)",
            project or self.project,
            key,
            run_at,
        )
        if place:
            await self.place(project)
        job: UUID = await self.value("select id from outbox.jobs where event_id = %s", event)
        return job

    async def place(self, project: UUID | None = None) -> None:
        await self.rows("select outbox.sequence(array[%s::uuid])", project or self.project)
        while await self.value("select exists (select from outbox.unplaced)"):
            await self.rows("select outbox.place(%s)", project or self.project)

    async def worker(self, *queues: str, **options: Any) -> UUID:
        """Knows the pull handlers of these queues."""
        handlers = [f"pull:{queue}" for queue in queues or ("work",)]
        made = await self.row(
            "select * from outbox.enlist('tester', %s, null, %s)", handlers, Jsonb({"slots": 10} | options)
        )
        worker: UUID = made["worker_id"]
        return worker

    async def claim(self, worker: UUID, limit: int = 10) -> list[Row]:
        self.clock.forward(timedelta(milliseconds=1))
        return await self.rows("select * from outbox.claim(%s, %s)", worker, limit)

    async def claim_one(self, worker: UUID) -> Row:
        (job,) = await self.claim(worker, 1)
        return job

    async def settle(self, worker: UUID, claimed: Row, outcome: str = "completed", **more: Any) -> Row:
        result = {
            "lease": str(claimed["lease_id"]),
            "job": str(claimed["job_id"]),
            "outcome": outcome,
            "ms": 5,
        }
        return await self.row("select * from outbox.settle(%s, %s)", worker, Jsonb([result | more]))

    async def fail(self, worker: UUID, claimed: Row, **more: Any) -> Row:
        """To the dead letters."""
        given = {"class": "Boom", "error": "it broke", "final": True} | more
        return await self.settle(worker, claimed, "failed", **given)

    async def dead(self, worker: UUID, queue: str = "work", **options: Any) -> UUID:
        job = await self.enqueue(queue, **options)
        await self.fail(worker, await self.claim_one(worker))
        return job

    async def in_state(self, state: str, worker: UUID, **options: Any) -> UUID:
        """A new unkeyed job of the queue `work`, brought to that state."""
        job = await self.enqueue(**options)
        if state == "queued":
            return job
        if state == "cancelled":
            await self.call("cancel", job)
            return job
        claimed = await self.claim_one(worker)
        assert job == claimed["job_id"]
        if state == "completed":
            await self.settle(worker, claimed)
        elif state == "failed":
            await self.fail(worker, claimed)
        return job

    async def state(self, job: UUID) -> Row:
        return await self.row("select * from outbox.job_state(%s)", job)

    async def states(self, *jobs: UUID) -> list[str]:
        return [(await self.state(job))["state"] for job in jobs]

    async def ledger(self, job: UUID) -> list[str]:
        rows = await self.rows("select outcome from outbox.attempts where job_id = %s order by no", job)
        return [row["outcome"] for row in rows]

    async def lane(self, job: UUID) -> Row | None:
        rows = await self.rows(
            "select l.* from outbox.lanes l join outbox.jobs j on j.queue_id = l.queue_id"
            " and j.project_id = l.project_id and j.ordering_key = l.key where j.id = %s",
            job,
        )
        return rows[0] if rows else None

    async def somebody_waits(self) -> None:
        """Until a connection of this database waits for a lock."""
        for _ in range(500):
            if await self.value(
                "select exists (select from pg_stat_activity"
                " where wait_event_type = 'Lock' and datname = current_database())"
            ):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("nobody waits for a lock")

    async def misplaced(self) -> list[Row]:
        """C1: every job stands in one place; [] when so."""
        return await self.rows(ONCE_EACH)


MINUTE = timedelta(minutes=1)
