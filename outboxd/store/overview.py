"""What a person wants to see first, of what they may see: the last hour, what failed, feeds, who works.

An operator sees everything, whoever is bound to a team or a project their own. What is counted is bounded.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.depths import MINE, SEES, values_of

Conn = AsyncConnection[dict[str, Any]]

NEWEST = 50_000
"""Rows of the ledger that an hour is counted over."""
_HOUR = f"""
{MINE}, ledger as materialized (
  select a.job_id, a.outcome, a.at from outbox.attempts a
  where a.at >= (select outbox.clock()) - interval '59 min'
    and a.outcome in ('completed', 'failed', 'timed_out', 'lost')
  order by a.at desc limit %(most)s
)
select extract(epoch from date_trunc('minute', l.at))::bigint / 60 as minute, q.name as queue,
  count(*) filter (where l.outcome = 'completed') as completed,
  count(*) filter (where l.outcome <> 'completed') as failed
from ledger l
cross join lateral (select j.queue_id, j.project_id from outbox.jobs j where j.id = l.job_id offset 0) j
join outbox.queues q on q.id = j.queue_id
where %(every)s or j.project_id in (select m.id from mine m)
group by 1, 2
""".encode()
_STREAMS = f"""
{MINE}
select s.project_id, p.name as project, t.name as team, s.epoch, s.head, s.floor, s.pending, s.capped,
  extract(epoch from s.oldest_pending_age)::float8 as oldest_age, s.sequenced_at
from mine m
cross join lateral (select s.* from outbox.stream_lag s where s.project_id = m.id offset 0) s
join outbox.projects p on p.id = m.id
join outbox.teams t on t.id = m.team_id
order by s.pending desc, s.sequenced_at desc, p.name limit %(limit)s
""".encode()
_WHO = f"""
select w.worker_id as id, w.name, w.kind, w.state, w.slots, w.running, w.queues, w.handlers, w.version,
  w.started_at, extract(epoch from w.beat_age)::float8 as beat_age,
  case when %(everywhere)s then w.host end as host, case when %(everywhere)s then w.pid end as pid
from outbox.live_workers w join outbox.workers o on o.id = w.worker_id
where %(everywhere)s
  or (o.team_id is not null and {SEES.format(team="o.team_id", project="o.project_id")})
order by w.state = 'silent', w.name, w.started_at limit %(limit)s
""".encode()
_LAST = f"""
select a.at, a.action, a.actor, a.resource_type, a.resource_id, a.project_id, a.request_id, a.details
from outbox.audit_log a
where {SEES.format(team="a.team_id", project="a.project_id")} and a.id >= outbox.uuid7_floor(
  (select outbox.clock()) - interval '7 days') and a.action <> 'observation.read'
  and a.details ->> 'dryRun' is distinct from 'true' NARROW
order by a.id desc limit %(limit)s
"""
_OF_TEAM = "and a.team_id = %(team)s"
_OPEN = f"""
{MINE}
select count(*)::int as n from (
  select from mine m cross join lateral (select i.id from outbox.interactions i where i.project_id = m.id
    and i.connection_id = %(connection)s and i.state = 'pending' and i.expires_at > (select outbox.clock())
    limit 100) i limit 100) x
""".encode()


_DEAD = f"""
{MINE}, dead as materialized (
  select d.* from mine m cross join lateral (
    select d.queue_id, d.job_id, d.class, d.status, d.error, d.failed_at from outbox.dead_letters d
    where d.project_id = m.id order by d.job_id desc limit 10001) d
  limit 10001
)
select q.name as queue, q.handler, d.class as class_, d.status::int as status, d.head, count(*)::int as jobs,
  min(d.failed_at) as first_at, max(d.failed_at) as last_at,
  (array_agg(d.job_id order by d.failed_at desc))[1] as sample
from (
  select x.*, regexp_replace(left(split_part(x.error, e'\n', 1), 120), '[0-9]+', '#', 'g') as head from dead x
) d
join outbox.queues q on q.id = d.queue_id
where (%(queue)s::text is null or q.name = %(queue)s) and (%(class)s::text is null or d.class = %(class)s)
  and (%(handler)s::text is null or q.handler = %(handler)s)
  and (%(since)s::timestamptz is null or d.job_id >= outbox.uuid7_floor(%(since)s))
  and (%(until)s::timestamptz is null or d.job_id < outbox.uuid7_floor(%(until)s))
group by q.name, q.handler, d.class, d.status, d.head
order by jobs desc, last_at desc limit %(limit)s
""".encode()


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters with the same error."""

    queue: str
    handler: str
    class_: str | None
    status: int | None
    head: str | None
    """The first line of the error, digits as #."""
    jobs: int
    first_at: datetime
    last_at: datetime
    sample: UUID


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    minute: int
    """Since 1970."""
    queue: str
    completed: int
    failed: int


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    project_id: UUID
    project: str
    team: str
    epoch: str
    head: int
    floor: int
    pending: int
    capped: bool
    oldest_age: float | None
    sequenced_at: datetime


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    kind: str
    state: str
    slots: int
    running: int
    queues: list[str] | None
    handlers: list[str]
    version: str | None
    started_at: datetime
    beat_age: float
    host: str | None
    """Where and as what it runs is the operator's to know."""
    pid: int | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person or a key did."""

    at: datetime
    action: str
    actor: str
    resource_type: str
    resource_id: str | None
    project_id: UUID | None
    request_id: str | None
    details: dict[str, Any]


async def dead(
    conn: Conn,
    caller: Caller,
    *,
    project: UUID | None = None,
    queue: str | None = None,
    handler: str | None = None,
    class_: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
) -> list[Group]:
    """Dead letters by error, the largest group first; of the newest 10,000 of each project.

    since, until: when their jobs were made."""
    values = values_of(caller, project) | {"queue": queue, "handler": handler, "class": class_}
    values |= {"since": since, "until": until, "limit": limit}
    return await rows.many(await conn.execute(_DEAD, values), Group)


async def hour(conn: Conn, caller: Caller, most: int = NEWEST) -> list[Minute]:
    """What ended in each of the last 60 minutes, among the newest rows of the ledger."""
    values = values_of(caller) | {"most": most, "every": caller.everywhere}
    return await rows.many(await conn.execute(_HOUR, values), Minute)


async def streams(
    conn: Conn, caller: Caller, *, project: UUID | None = None, limit: int = 100
) -> list[Stream]:
    """Those that are behind first."""
    values = values_of(caller, project) | {"limit": limit}
    return await rows.many(await conn.execute(_STREAMS, values), Stream)


async def workers(conn: Conn, caller: Caller, limit: int = 100) -> list[Worker]:
    """All for an operator, else the pull workers of the caller's own keys."""
    values = values_of(caller) | {"everywhere": caller.everywhere, "limit": limit}
    return await rows.many(await conn.execute(_WHO, values), Worker)


async def lines(conn: Conn, caller: Caller, limit: int = 8) -> list[Line]:
    """The newest of a week, newest first; reading is left out."""
    query = _LAST.replace("NARROW", "" if caller.team_id is None else _OF_TEAM).encode()
    values = values_of(caller) | {"team": caller.team_id, "limit": limit}
    return await rows.many(await conn.execute(query, values), Line)


async def questions(conn: Conn, caller: Caller, connection: str) -> int:
    """How many wait there, up to 100."""
    values = values_of(caller) | {"connection": connection}
    return await rows.value(await conn.execute(_OPEN, values), int)


async def standstill(conn: Conn, since: timedelta = timedelta(seconds=1)) -> int:
    """Transactions open for longer that keep their events out of the feeds."""
    query = b"select count(*) from outbox.pending_stalled where coalesce(xact_age > %s, true)"
    return await rows.value(await conn.execute(query, (since,)), int)
