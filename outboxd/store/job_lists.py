"""Lists of jobs: newest first, a bounded look at a time.

A state is no column, so a list by state joins the tables that jobs stand in. What a page may look
at is bounded: jobs of one event, dead letters and leases are found by their own index, everything
else by walking the newest jobs. A page that found too little in its walk ends early, with a cursor.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import row
from outboxd.store.history import COUNTED, FROM, SHOWN, JobRow

Conn = AsyncConnection[dict[str, Any]]

_SCOPE = "outbox.caller_of(%(caller)s)"
_BOUNDS = """
  and (%(after)s::uuid is null or j.id < %(after)s)
  and (%(since)s::timestamptz is null or j.id >= outbox.uuid7_floor(%(since)s))
  and (%(until)s::timestamptz is null or j.id < outbox.uuid7_floor(%(until)s))
"""
# Each gives bodies of jobs `j` that the caller may see, newest first, at most `most`.
_NEWEST = f"""
select j.* from outbox.projects p
cross join lateral (select j.* from outbox.jobs j where j.project_id = p.id {_BOUNDS}
  order by j.id desc limit %(most)s) j
where outbox.sees({_SCOPE}, p.team_id, p.id) and (%(project)s::uuid is null or p.id = %(project)s)
order by j.id desc limit %(most)s
"""
_DEAD = f"""
select j.* from outbox.projects p
cross join lateral (select d.job_id from outbox.dead_letters d where d.project_id = p.id
  and (%(after)s::uuid is null or d.job_id < %(after)s) order by d.job_id desc limit %(most)s) d
cross join lateral (select j.* from outbox.jobs j where j.id = d.job_id {_BOUNDS}) j
where outbox.sees({_SCOPE}, p.team_id, p.id) and (%(project)s::uuid is null or p.id = %(project)s)
order by j.id desc limit %(most)s
"""
_LEASED = f"""
select j.* from outbox.leases l
cross join lateral unnest(l.job_ids) u(id)
cross join lateral (select j.* from outbox.jobs j where j.id = u.id {_BOUNDS}) j
where outbox.sees({_SCOPE}, j.team_id, j.project_id)
  and (%(project)s::uuid is null or j.project_id = %(project)s)
order by j.id desc limit %(most)s
"""
_OF_EVENT = f"""
select j.* from (
  select j.id from outbox.jobs j where j.event_id = %(event)s
  union select m.job_id from outbox.members m where m.event_id = %(event)s) u
cross join lateral (select j.* from outbox.jobs j where j.id = u.id) j
where true {_BOUNDS}
  and outbox.sees({_SCOPE}, j.team_id, j.project_id)
  and (%(project)s::uuid is null or j.project_id = %(project)s)
order by j.id desc limit %(most)s
"""
_OF_ENDPOINT = f"""
select j.* from outbox.endpoints e
cross join lateral (select j.* from outbox.jobs j where j.queue_id = e.queue_id
  and j.event_id is not null and j.deadline is not null {_BOUNDS} order by j.id desc limit %(most)s) j
where e.id = %(endpoint)s and outbox.sees({_SCOPE}, e.team_id, e.project_id)
order by j.id desc limit %(most)s
"""
# Its own (a summary's, a gathering's, a generation's), and those of its events.
_OF_SESSION = f"""
select j.* from (
  (select j.id from outbox.jobs j where j.session_id = %(session)s {_BOUNDS}
    order by j.id desc limit %(most)s)
  union
  (select j.id from (select e.id from outbox.events e where e.session_id = %(session)s
    order by e.id desc limit %(most)s) e
  cross join lateral (select j.id from outbox.jobs j where j.event_id = e.id {_BOUNDS}) j)) u
cross join lateral (select j.* from outbox.jobs j where j.id = u.id) j
where outbox.sees({_SCOPE}, j.team_id, j.project_id)
  and (%(project)s::uuid is null or j.project_id = %(project)s)
order by j.id desc limit %(most)s
"""
_FILTER = """
where (%(states)s::text[] is null or p.state = any(%(states)s))
  and (%(queue)s::text is null or q.name = %(queue)s)
  and (%(handler)s::text is null or q.handler = %(handler)s)
  and (%(kind)s::text is null or case
    when q.handler = 'summarize' and j.session_id is not null then 'session_summary'
    when j.event_id is null then 'direct' else 'agent_event' end = %(kind)s)
  and (%(class)s::text is null or f.class = %(class)s)
  and (%(last_class)s::text is null or a.class = %(last_class)s)
  and (%(request)s::text is null or coalesce(j.request_id, v.request_id) = %(request)s)
  and (%(session)s::uuid is null or %(session)s in (j.session_id, v.session_id))
  and (not %(held)s or coalesce(w.held, k.held) is not null
    or (p.state = 'queued' and q.closed_until > outbox.clock()))
"""


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What is not None must hold."""

    project: UUID | None = None
    states: Sequence[str] | None = None
    queue: str | None = None
    handler: str | None = None
    kind: str | None = None
    """The source type."""
    event: UUID | None = None
    session: UUID | None = None
    request: str | None = None
    classification: str | None = None
    last_class: str | None = None
    """Of the last word of the ledger."""
    endpoint: UUID | None = None
    """Only deliveries to it; with `event`, say `queue` too."""
    since: datetime | None = None
    until: datetime | None = None
    held: bool = False

    @property
    def looks_inside(self) -> bool:
        """Does it ask for more than the body of a job says?"""
        return bool(
            self.states or self.queue or self.handler or self.kind or self.classification or self.last_class
            or self.request or self.session or self.held
        )  # fmt: skip


class JobPage(msgspec.Struct, frozen=True):
    jobs: list[JobRow]
    after: UUID | None
    """Where the next page begins; None: there is none."""


async def page(
    conn: Conn, caller: Caller, where: JobFilter, *, after: UUID | None, offset: int, limit: int
) -> JobPage:
    """At most `limit` jobs, newest first, from below `after`."""
    query = f"""
    with looked as materialized ({_source(where)})
    {SHOWN} from (select * from looked order by id desc) j {FROM} {_FILTER}
    order by j.id desc limit %(limit)s offset %(offset)s
    """.encode()
    values = _values(caller, where, after) | {"limit": limit + 1, "offset": offset}
    found = await rows.many(await conn.execute(query, values), JobRow)
    if len(found) > limit:
        return JobPage(found[:limit], found[limit - 1].id)
    return JobPage(found, await _last_looked(conn, values, where))


async def total(conn: Conn, caller: Caller, where: JobFilter) -> tuple[int, bool]:
    """How many there are, and whether that is exact; beyond COUNTED it is the least."""
    inside = f"{FROM} {_FILTER}" if where.looks_inside else ""
    query = f"""
    with looked as materialized ({_source(where)})
    select (select count(*) from looked j {inside}) as found, (select count(*) from looked) as looked
    """.encode()
    counted = await (await conn.execute(query, _values(caller, where, None))).fetchone() or {}
    return min(counted["found"], COUNTED), counted["looked"] <= COUNTED


async def _last_looked(conn: Conn, values: dict[str, Any], where: JobFilter) -> UUID | None:
    """Where the walk ended, if it ended for its bound and not because there was no more."""
    query = f"""
    with looked as materialized ({_source(where)})
    select case when count(*) >= %(most)s then (array_agg(id order by id))[1] end as last from looked
    """.encode()
    found = await (await conn.execute(query, values)).fetchone() or {}
    last: UUID | None = found["last"]
    return last


def _source(where: JobFilter) -> str:
    match where:
        case JobFilter(event=UUID()):
            return _OF_EVENT
        case JobFilter(endpoint=UUID()):
            return _OF_ENDPOINT
        case JobFilter(session=UUID()):
            return _OF_SESSION
        case JobFilter(states=["failed"]):
            return _DEAD
        case JobFilter(states=["processing"]):
            return _LEASED
        case _:
            return _NEWEST


def _values(caller: Caller, where: JobFilter, after: UUID | None) -> dict[str, Any]:
    return {
        "caller": row(caller),
        "after": after,
        "most": COUNTED + 1,
        "project": where.project,
        "states": None if where.states is None else list(where.states),
        "queue": where.queue,
        "handler": where.handler,
        "kind": where.kind,
        "event": where.event,
        "session": where.session,
        "request": where.request,
        "class": where.classification,
        "last_class": where.last_class,
        "endpoint": where.endpoint,
        "since": where.since,
        "until": where.until,
        "held": where.held,
    }
