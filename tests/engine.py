"""The verbs of the SQL engine, as a test says them: one plain connection, one method a verb.

It adds nothing to what SQL does. `Engine(dsn)` commits each call; `Engine(conn=…)` leaves the
transaction to the caller.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

_PLACE = """
select coalesce(
  (select 'ready' from outbox.ready where job_id = %s),
  (select 'later' from outbox.later where job_id = %s),
  (select 'leases' from outbox.leases where %s = any (job_ids)),
  (select 'dead_letters' from outbox.dead_letters where job_id = %s),
  (select outcome from outbox.attempts where job_id = %s order by no desc limit 1), 'none')
"""
EVERYWHERE = "row(null, null, true, null, 'test', 'req-1')::outbox.caller"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tenant:
    team: UUID
    project: UUID
    lane: int
    """The project's number: its share in `ready`."""


class Engine:
    def __init__(self, dsn: str = "", *, conn: Connection[DictRow] | None = None) -> None:
        self.conn = conn or psycopg.connect(dsn, autocommit=True, row_factory=dict_row)

    def close(self) -> None:
        self.conn.close()

    def rows(self, sql: str, *args: Any) -> list[DictRow]:
        return self.conn.execute(sql.encode(), args).fetchall()

    def one(self, sql: str, *args: Any) -> Any:
        """The only value of the only row; None for no row."""
        row = self.conn.execute(sql.encode(), args).fetchone()
        return next(iter(row.values())) if row else None

    def do(self, sql: str, *args: Any) -> None:
        self.conn.execute(sql.encode(), args)

    # What must be there first

    def tenant(self, team: UUID | None = None) -> Tenant:
        """A project, in a team of its own unless one is named."""
        now = self.one("select outbox.clock()")
        made, project = team or uuid4(), uuid4()
        if team is None:
            self.do("insert into outbox.teams values (%s, %s, '{}', %s, %s)", made, str(made), now, now)
        lane = self.one(
            "insert into outbox.projects (id, team_id, name, created_at, updated_at)"
            " values (%s, %s, %s, %s, %s) returning number",
            *(project, made, str(project), now, now),
        )
        self.do("select outbox.open_stream(%s)", project)
        return Tenant(team=made, project=project, lane=lane)

    def queue(self, name: str = "work", handler: str | None = None, **settings: Any) -> int:
        """The queue's id. Settings are columns; a limit makes the gate that it needs."""
        made: int = self.one("select outbox.open_queue(%s, %s)", name, handler)
        if settings:
            columns = ", ".join(f"{column} = %s" for column in settings)
            self.do(
                f"update outbox.queues set {columns} where id = %s", *map(adapted, settings.values()), made
            )
        if settings.keys() & {"concurrency", "rate_per_second"}:
            self.do(
                "insert into outbox.gates select id, coalesce(rate_burst, 0), outbox.clock()"
                " from outbox.queues where id = %s on conflict do nothing",
                made,
            )
        return made

    def route(self, tenant: Tenant | None, pattern: str, queue: str = "work", **columns: Any) -> UUID:
        """Of the project, or global without one."""
        route = uuid4()
        given = {
            "id": route,
            "team_id": tenant and tenant.team,
            "project_id": tenant and tenant.project,
            "pattern": pattern,
            "queue_id": self.queue(queue),
            "created_at": self.one("select outbox.clock()"),
        } | columns
        marks = ", ".join(["%s"] * len(given))
        self.do(
            f"insert into outbox.routes ({', '.join(given)}) values ({marks})",
            *map(adapted, given.values()),
        )
        return route

    def worker(self, *handlers: str, queues: list[str] | None = None, **options: Any) -> UUID:
        """Enlists one that knows `pull:work` unless other handlers are named."""
        made: UUID = self.one(
            "select worker_id from outbox.enlist('w', %s, %s, %s)",
            *(list(handlers or ["pull:work"]), queues, Jsonb(options)),
        )
        return made

    # Producers

    def publish(self, tenant: Tenant, kind: str = "thing.done", **args: Any) -> UUID:
        named = "".join(f", p_{name} => %s" for name in args)
        made: UUID = self.one(
            f"select outbox.publish(%s, p_project => %s{named})",
            *(kind, tenant.project, *map(adapted, args.values())),
        )
        return made

    def enqueue(self, tenant: Tenant, queue: str = "work", payload: Any = None, **options: Any) -> UUID:
        made: UUID = self.enqueued(tenant, queue, payload, **options)["job_id"]
        return made

    def enqueued(self, tenant: Tenant, queue: str = "work", payload: Any = None, **options: Any) -> DictRow:
        """The whole answer; times may be datetimes."""
        given = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in options.items()}
        return self.rows(
            f"select * from outbox.enqueue({EVERYWHERE}, %s, %s, %s, %s)",
            *(queue, Jsonb(payload or {}), tenant.project, Jsonb(given)),
        )[0]

    def jobs_of(self, event: UUID) -> list[UUID]:
        return [row["id"] for row in self.rows("select id from outbox.jobs where event_id = %s", event)]

    def sequence(self, *tenants: Tenant, limit: int = 1000) -> list[DictRow]:
        return self.rows("select * from outbox.sequence(%s, %s)", [t.project for t in tenants], limit)

    def place(self, tenant: Tenant, limit: int = 500) -> list[DictRow]:
        return self.rows("select * from outbox.place(%s, %s)", tenant.project, limit)

    def keyed(self, tenant: Tenant, key: str = "k", kind: str = "thing.done", **args: Any) -> UUID:
        """Publishes one ordered event, numbers and places it: its only job."""
        event = self.publish(tenant, kind, ordering_key=key, **args)
        self.sequence(tenant)
        self.place(tenant)
        return self.jobs_of(event)[0]

    # Workers

    def claim(self, worker: UUID, limit: int = 100, spots: list[str] | None = None) -> list[DictRow]:
        return self.rows("select * from outbox.claim(%s, %s, %s::outbox.spot[])", worker, limit, spots)

    def look(
        self, worker: UUID, queue: str | None = None, after: str | None = None, limit: int = 200
    ) -> list[DictRow]:
        return self.rows(
            "select * from outbox.look(%s, %s, %s::outbox.spot, %s)", worker, queue, after, limit
        )

    def settle(self, worker: UUID, *results: dict[str, Any]) -> list[DictRow]:
        return self.rows("select * from outbox.settle(%s, %s)", worker, Jsonb(results, dumps=dumps))

    def end(self, worker: UUID, job: DictRow, outcome: str = "completed", **more: Any) -> DictRow:
        """Settles one claimed job."""
        return self.settle(worker, result(job, outcome, **more))[0]

    def release(self, worker: UUID, lease: UUID, jobs: list[UUID] | None = None) -> int:
        back: int = self.one("select outbox.release(%s, %s, %s)", worker, lease, jobs)
        return back

    def extend(self, worker: UUID, lease: UUID, by: timedelta, jobs: list[UUID] | None = None) -> datetime:
        until: datetime = self.one("select outbox.extend(%s, %s, %s, %s)", worker, lease, by, jobs)
        return until

    def beat(self, worker: UUID, running: int = 0) -> DictRow:
        return self.rows("select * from outbox.beat(%s, %s)", worker, running)[0]

    def poll(self, worker: UUID | None = None) -> DictRow:
        return self.rows("select * from outbox.poll(%s)", worker)[0]

    def reap(self, limit: int = 20) -> list[DictRow]:
        return self.rows("select * from outbox.reap(%s)", limit)

    def stage(self, limit: int = 1000) -> int:
        """How many moved."""
        return sum(row["n"] for row in self.rows("select * from outbox.stage(%s)", limit))

    def expire(self, limit: int = 1000) -> int:
        ended: int = self.one("select outbox.expire(%s)", limit)
        return ended

    def cancel(self, job: UUID) -> DictRow:
        return self.rows(f"select * from outbox.cancel({EVERYWHERE}, %s)", job)[0]

    def retry(self, job: UUID) -> DictRow:
        return self.rows(f"select * from outbox.retry({EVERYWHERE}, %s)", job)[0]

    # Questions

    def place_of(self, job: UUID) -> str:
        """ready, later, leases, dead_letters, or the last word of the ledger; none for neither."""
        where: str = self.one(_PLACE, *[job] * 5)
        return where

    def ledger(self, job: UUID) -> list[DictRow]:
        return self.rows("select * from outbox.attempts where job_id = %s order by no", job)

    def lane(self, job: UUID) -> DictRow | None:
        found = self.rows(
            "select l.* from outbox.lanes l join outbox.jobs j on l.queue_id = j.queue_id"
            " and l.project_id = j.project_id and l.key = j.ordering_key where j.id = %s",
            job,
        )
        return found[0] if found else None


def result(job: DictRow, outcome: str = "completed", **more: Any) -> dict[str, Any]:
    """What a worker says about one claimed job."""
    return {"lease": job["lease_id"], "job": job["job_id"], "outcome": outcome, "ms": 7} | more


def adapted(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value


def dumps(value: Any) -> str:
    """Ids as text."""
    return json.dumps(value, default=str)
