"""What tests of generation say often: a project's settings, a session, what became of events."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from tests.engine import Engine, Tenant

SECOND = timedelta(seconds=1)
MS = timedelta(milliseconds=1)


def policy(engine: Engine, tenant: Tenant, said: str, **more: Any) -> None:
    """`quietMs` and so on besides."""
    engine.do(
        "update outbox.projects set settings = %s where id = %s",
        Jsonb({"generation": {"policy": said, **more}}),
        tenant.project,
    )


def session(engine: Engine, tenant: Tenant, content: str | None = None, platform: str | None = None) -> UUID:
    made = uuid4()
    engine.do(
        "insert into outbox.sessions (id, team_id, project_id, content_session_id, platform_source,"
        " started_at, created_at, updated_at)"
        " select %s, %s, %s, %s, %s, now, now, now from (select outbox.clock() as now) t",
        *(made, tenant.team, tenant.project, content, platform),
    )
    return made


def end(engine: Engine, session_id: UUID) -> int:
    """As `end_session` does: the end, and what waited for it, in one transaction."""
    with engine.conn.transaction():
        engine.do("update outbox.sessions set ended_at = outbox.clock() where id = %s", session_id)
        due: int = engine.one("select outbox.hasten_gathering(%s)", session_id)
        return due


def place(engine: Engine, tenant: Tenant) -> list[dict[str, Any]]:
    """Numbers and places all there is; the queues that became due."""
    engine.sequence(tenant)
    due: list[dict[str, Any]] = []
    while engine.one("select exists (select from outbox.unplaced where project_id = %s)", tenant.project):
        due += engine.place(tenant)
    return due


def gathered(engine: Engine, tenant: Tenant) -> list[dict[str, Any]]:
    """Jobs of generation with their members in feed order, those of older events first."""
    return engine.rows(
        """
        select j.*, m.members, coalesce(l.run_at, r.run_at) as due, l.held,
          exists (select from outbox.gatherings g where g.job_id = j.id) as open
        from outbox.jobs j join outbox.queues q on q.id = j.queue_id and q.name = 'observe'
        cross join lateral (
          select coalesce(array_agg(m.event_id order by m.seq), '{}') as members, min(m.seq) as first
          from outbox.members m where m.job_id = j.id) m
        left join outbox.later l on l.job_id = j.id
        left join outbox.ready r on r.job_id = j.id
        where j.project_id = %s order by m.first, j.id
        """,
        tenant.project,
    )


def one_gathered(engine: Engine, tenant: Tenant) -> dict[str, Any]:
    (only,) = gathered(engine, tenant)
    return only


def lost(engine: Engine, tenant: Tenant) -> list[UUID]:
    """Events that no job has, though they were numbered and placed and were to be gathered; and gatherings
    of jobs that have ended."""
    found = engine.rows(
        """
        select f.event_id as id from outbox.feed f
        where f.project_id = %s and f.gather and not exists (select from outbox.members m
          where m.event_id = f.event_id)
        union all
        select g.job_id from outbox.gatherings g where g.project_id = %s
          and not exists (select from outbox.ready r where r.job_id = g.job_id)
          and not exists (select from outbox.later l where l.job_id = g.job_id)
          and not exists (select from outbox.leases l where g.job_id = any (l.job_ids))
        """,
        *(tenant.project, tenant.project),
    )
    return [row["id"] for row in found]


def due_in(engine: Engine, row: dict[str, Any]) -> timedelta:
    now: datetime = engine.one("select outbox.clock()")
    due: datetime = row["due"]
    return due - now
