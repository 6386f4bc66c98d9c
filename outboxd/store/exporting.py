"""A project as lines of JSON: who it belongs to, its endpoints, sessions, events and observations, by id.

Everything is read in one snapshot, a few rows at a time. Columns go out by their names, and come in
by them (`sql/functions/import_rows.sql`), so that an import takes what it knows. What is secret of an
endpoint stays here; so does what was purged.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID

from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]
Kind = Literal["endpoint", "session", "event", "observation"]

KINDS: tuple[Kind, ...] = ("endpoint", "session", "event", "observation")
"""In the order of an export: what others refer to comes first."""
_FETCHED = 20
"""Rows at a time: one may be 5 MiB."""

_SNAPSHOT = b"begin isolation level repeatable read, read only"
_HEAD = """
select (jsonb_build_object('team', to_jsonb(t) - '{budgets,revision}'::text[], 'project', to_jsonb(p)
  - '{team_id,number,egress,purged_at}'::text[]))::text as head
from outbox.projects p join outbox.teams t on t.id = p.team_id where p.id = %s
"""
_WHOSE = "'{team_id,project_id}'::text[]"
_LIVE = "(select coalesce(p.purged_at, '-infinity') from outbox.projects p where p.id = %(project)s)"
_ROWS: dict[Kind, str] = {
    "endpoint": f"""
select (to_jsonb(e) - {_WHOSE} - '{{queue_id,headers,recovery_job,disabled_reason,disabled_at}}'::text[]
  || jsonb_build_object('kind', 'endpoint', 'queue', jsonb_build_object('concurrency', q.concurrency,
    'attempts', q.attempts, 'backoff', q.backoff, 'onDead', q.on_dead, 'rate', case
      when q.rate_per_second is not null then jsonb_build_object('perSecond', q.rate_per_second,
        'burst', q.rate_burst) end, 'timeoutMs', round(extract(epoch from q.timeout) * 1000))))::text as line
from outbox.endpoints e join outbox.queues q on q.id = e.queue_id
where e.project_id = %(project)s and e.id > %(after)s order by e.id
""",
    "session": f"""
select (to_jsonb(s) - {_WHOSE}
  || jsonb_build_object('kind', 'session', 'events', n.events, 'newest', n.newest))::text as line
from outbox.sessions s cross join lateral outbox.session_events(s.id) n
where s.project_id = %(project)s and s.id > %(after)s and s.created_at > {_LIVE} order by s.id
""",
    "event": f"""
select (to_jsonb(e) - {_WHOSE} - case when %(payloads)s then '{{}}' else '{{payload,attributes}}' end::text[]
  || '{{"kind": "event"}}')::text as line
from outbox.events e
where e.project_id = %(project)s and e.id > %(after)s and e.received_at > {_LIVE} order by e.id
""",
    # Its own `kind` is what it tells of.
    "observation": f"""
select (to_jsonb(o) - {_WHOSE} - 'search' - 'kind' || jsonb_build_object('kind', 'observation',
  'observation_kind', o.kind, 'sources', coalesce((
    select jsonb_agg(to_jsonb(r) - '{{observation_id,project_id}}'::text[] order by r.id)
    from outbox.observation_sources r where r.observation_id = o.id), '[]')))::text as line
from outbox.observations o
where o.project_id = %(project)s and o.id > %(after)s and o.created_at > {_LIVE} order by o.id
""",
}
_KIND = f"""
select x.kind from (
  select 'endpoint' as kind, e.project_id from outbox.endpoints e where e.id = %(id)s
  union all select 'session', s.project_id from outbox.sessions s where s.id = %(id)s
  union all select 'event', e.project_id from outbox.events e where e.id = %(id)s
  union all select 'observation', o.project_id from outbox.observations o where o.id = %(id)s) x
join outbox.projects p on p.id = x.project_id
where x.project_id = %(project)s and outbox.sees({CALLER.replace("%s", "%(caller)s")}, p.team_id, p.id)
"""
_AUDIT = f"""
select outbox.audit({CALLER}, 'project.exported', 'project', p.id::text, p.team_id, p.id, %s::jsonb)
from outbox.projects p where p.id = %s
"""
_FIRST = UUID(int=0)


@asynccontextmanager
async def snapshot(conn: Conn) -> AsyncIterator[None]:
    """What is read inside belongs together, however long it takes; nothing can be written."""
    await conn.execute(_SNAPSHOT)
    try:
        yield
    finally:
        await conn.execute(b"rollback")


async def kind_of(conn: Conn, caller: Caller, project: UUID, found: UUID) -> Kind | None:
    """What of the project has this id."""
    values = {"id": found, "project": project, "caller": row(caller)}
    names = await rows.values(await conn.execute(_KIND.encode(), values), str)
    return next((kind for kind in KINDS if kind in names), None)


async def head(conn: Conn, project: UUID) -> str:
    """`{team, project}`, as JSON."""
    return await rows.value(await conn.execute(_HEAD.encode(), (project,)), str)


async def lines(
    conn: Conn, kind: Kind, project: UUID, *, after: UUID | None, payloads: bool
) -> AsyncIterator[str]:
    """`{kind, id, …}` of each, as JSON, by id; within `snapshot`."""
    values: dict[str, Any] = {"project": project, "after": after or _FIRST}
    if kind == "event":
        values["payloads"] = payloads
    await conn.execute(f"declare export no scroll cursor for {_ROWS[kind]}".encode(), values)
    while found := await (await conn.execute(f"fetch {_FETCHED} from export".encode())).fetchall():
        for each in found:
            yield each["line"]
    await conn.execute(b"close export")


async def audit(conn: Conn, caller: Caller, project: UUID, said: str) -> None:
    """`said`: counts, as JSON."""
    await conn.execute(_AUDIT.encode(), (row(caller), said, project))
