"""What a benchmark's database holds before a measure begins: projects, a queue, a route, a backlog."""

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from outboxd.db.pool import Database
from outboxd.model import Caller
from outboxd.store import keys, tenants

QUEUE = "bench"
HANDLER = "bench"
EVENT = "bench.event"
_BATCH = 1000

_TEAM = "select outbox.make_team(outbox.me(), 'bench')"
_PROJECT = "select outbox.make_project(outbox.me(), (select id from outbox.teams where name = 'bench'), %s)"
_PROJECTS = "select id from outbox.projects order by number"
_ENQUEUE = """
select count(*) from generate_series(%s::int, %s::int) n
cross join lateral outbox.enqueue(outbox.me(), %s, %s, (%s::uuid[])[1 + n %% %s::int]) j
"""
# As `enqueue` writes them, a hundred times as fast: a million by its door would take minutes. Due as if
# they had come in at 5,000 a second, or the claim's hint would begin far before the first that is left.
_STOCK = """
with made as (
  insert into outbox.jobs (id, team_id, project_id, queue_id, payload)
  select outbox.uuid7(clock_timestamp()), p.team_id, p.id, q.id, %s
  from generate_series(%s::int, %s::int) n
  join outbox.projects p on p.id = (%s::uuid[])[1 + n %% %s::int]
  cross join (select id from outbox.queues where name = %s) q
  returning id, project_id, queue_id
), due as (
  select m.*,
    clock_timestamp() - make_interval(secs => (%s - row_number() over (order by m.id)) / 5000.0) as run_at
  from made m
)
insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
select m.queue_id, p.number, 0, m.run_at, m.id, 0, 0, 0
from due m join outbox.projects p on p.id = m.project_id
"""
_PUBLISH = "select count(*) from outbox.publish_many(%s)"


def prepare(dsn: str, *, projects: int = 1) -> list[UUID]:
    """A team, its projects, and one queue with one handler and a route; ids of the projects."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("select outbox.make_partitions()")
        conn.execute(_TEAM)
        for n in range(projects):
            conn.execute(_PROJECT, [f"bench {n}"])
        conn.execute("select outbox.open_queue(%s, %s)", [QUEUE, HANDLER])
        conn.execute(
            "insert into outbox.handlers values (%s, true, 'bench', now()) on conflict do nothing", [HANDLER]
        )
        conn.execute("select outbox.add_route(outbox.me(), %s, %s)", [EVENT, QUEUE])
        return [row[0] for row in conn.execute(_PROJECTS)]


async def key(dsn: str, project: UUID, scopes: Sequence[str] = ("events:write",)) -> str:
    """The secret of a key that may publish there, or do what `scopes` say."""
    async with Database.open(dsn) as db, db.transaction() as conn:
        caller = Caller(everywhere=True, actor="bench")
        (found,) = await tenants.projects(conn, caller, limit=1)
        _, secret = await keys.mint(conn, caller, team=found.team_id, project=project, scopes=list(scopes))
    return secret


def lease_size(dsn: str, jobs: int) -> None:
    """How many a claim may take."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "select outbox.configure_queue(outbox.me(), %s, %s)", [QUEUE, Jsonb({"leaseSize": jobs})]
        )


def pause(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("select outbox.pause(outbox.me(), %s)", [QUEUE])


def resume(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("select outbox.resume(outbox.me(), %s)", [QUEUE])


def enqueue(dsn: str, jobs: int, payload: str, projects: Sequence[UUID], batch: int = _BATCH) -> None:
    """Direct jobs, spread over the projects in turn, `batch` a transaction."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for at in range(0, jobs, batch):
            n = min(batch, jobs - at)
            conn.execute(_ENQUEUE, [at, at + n - 1, QUEUE, payload, list(projects), len(projects)])


def stock(dsn: str, jobs: int, payload: str, projects: Sequence[UUID], batch: int = 10_000) -> None:
    """A long backlog of direct jobs, with fresh statistics."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for at in range(0, jobs, batch):
            last = min(at + batch, jobs) - 1
            conn.execute(_STOCK, [payload, at, last, list(projects), len(projects), QUEUE, jobs - at])
        conn.execute("vacuum (analyze) outbox.ready, outbox.jobs")


def publish(dsn: str, events: int, payload: str, project: UUID, *, keys: int = 0, batch: int = 100) -> None:
    """Events with one job each, `batch` a transaction; `keys` > 0: in that many lanes in turn."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for at in range(0, events, batch):
            made = [
                _event(payload, project, n % keys if keys else None)
                for n in range(at, min(at + batch, events))
            ]
            conn.execute(_PUBLISH, [made])


def number(dsn: str, project: UUID) -> None:
    """Until every event has its position, and every keyed job its place."""
    call: LiteralString = "select coalesce(sum(numbered), 0) from outbox.sequence(array[%s]::uuid[])"
    with psycopg.connect(dsn, autocommit=True) as conn:
        while _one(conn.execute(call, [project])):
            pass
        while _one(conn.execute("select count(*) from outbox.unplaced")):
            conn.execute("select count(*) from outbox.place(%s)", [project])


def _event(payload: str, project: UUID, key: int | None) -> Jsonb:
    lane = "" if key is None else f'"orderingKey":"{key}",'
    return Jsonb(
        f'{{"eventType":"{EVENT}","projectId":"{project}",{lane}"payload":{payload}}}', dumps=str.encode
    )


def _one(cur: psycopg.Cursor[tuple[int]]) -> int:
    row = cur.fetchone()
    return 0 if row is None else int(row[0])
