"""What a person wants to see first, of what they may see: queues, the last hour, feeds, who works.

An operator gets the operators' views; whoever is bound to a team or a project gets the same columns,
counted over their own rows. Every count stops at 10,000.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store import steering
from outboxd.store.callers import row

Conn = AsyncConnection[dict[str, Any]]

NEWEST = 50_000
"""Rows of the ledger that an hour is counted over."""
_SEES = "outbox.sees(outbox.caller_of(%(caller)s), {team}, {project})"
_MINE = f"""
with mine as materialized (
  select p.id, p.team_id, p.number from outbox.projects p
  where {_SEES.format(team="p.team_id", project="p.id")} and (%(project)s::uuid is null or p.id = %(project)s)
  order by p.id limit 1000
)
"""
_WORKERS = """
(select count(*) from outbox.workers x
  where x.fenced_at is null and not x.draining and (not x.beats or x.beat_at >= t.now - 5 * x.beat_every)
    and q.handler = any (x.handlers)
    and (x.queues is null or exists (select from unnest(x.queues) u
      where u = q.name or (u like '%%*' and starts_with(q.name, left(u, -1))))))
"""
_EVERY_QUEUE = b"""
select d.queue, d.handler, q.class as class_, d.due, d.later, d.held, d.running, d.failed, d.capped,
  extract(epoch from d.lag)::float8 as lag, d.paused, d.closed_until, q.closed_reason, d.workers,
  (select count(*) from outbox.shares s where s.queue_id = q.id and s.paused
    and coalesce(s.paused_until > outbox.clock(), true)) as paused_shares, q.paused_until, q.paused_reason
from outbox.queue_depth d join outbox.queues q on q.name = d.queue
where %(queue)s::text is null or d.queue = %(queue)s
order by d.due desc, d.failed desc, d.running desc, d.queue limit %(limit)s
"""
_OWN_QUEUES = f"""
{_MINE}, dead as materialized (
  select d.queue_id, count(*) as n from mine m cross join lateral (
    select d.queue_id from outbox.dead_letters d where d.project_id = m.id limit 10001) d group by 1
), running as materialized (
  select l.queue_id, count(*) as n from outbox.leases l
  cross join lateral unnest(l.job_ids) u (id)
  cross join lateral (select j.project_id from outbox.jobs j where j.id = u.id offset 0) j
  where j.project_id in (select m.id from mine m) group by 1
)
select * from (
  select q.name as queue, q.handler, q.class as class_, least(r.due, 10000) as due,
    least(l.later, 10000) as later, least(l.held, 10000) as held, coalesce(w.n, 0) as running,
    least(coalesce(f.n, 0), 10000) as failed,
    r.seen > 10000 or l.later > 10000 or coalesce(f.n, 0) > 10000 as capped,
    extract(epoch from t.now - r.oldest)::float8 as lag,
    q.paused and coalesce(q.paused_until > t.now, true) as paused,
    case when q.closed_until > t.now then q.closed_until end as closed_until, q.closed_reason,
    {_WORKERS} as workers, (select count(*) from outbox.shares s where s.queue_id = q.id and s.paused
      and coalesce(s.paused_until > t.now, true) and s.project_id in (select m.id from mine m))
      as paused_shares, q.paused_until, q.paused_reason
  from outbox.queues q
  cross join (select outbox.clock() as now) t
  cross join lateral (
    select count(*) as seen, count(*) filter (where x.run_at <= t.now) as due,
      min(x.run_at) filter (where x.run_at <= t.now) as oldest
    from (
      select y.run_at from mine m cross join lateral (select r.run_at from outbox.ready r
        where r.queue_id = q.id and r.lane = m.number limit 10001) y
      union all
      select y.run_at from mine m
      cross join lateral (select n.id from outbox.lanes n
        where n.queue_id = q.id and n.project_id = m.id limit 1000) n
      cross join lateral (select r.run_at from outbox.ready r
        where r.queue_id = q.id and r.lane = n.id limit 1000) y
      limit 10001) x) r
  cross join lateral (
    select count(*) as later, count(x.held) as held
    from (select l.held, l.lane from outbox.later l where l.queue_id = q.id order by l.run_at limit 10001) x
    where x.lane in (select m.number from mine m)) l
  left join running w on w.queue_id = q.id
  left join dead f on f.queue_id = q.id
  where (%(queue)s::text is null or q.name = %(queue)s)
    and (q.class <> 'endpoint' or exists (select from outbox.endpoints e
      where e.queue_id = q.id and e.project_id in (select m.id from mine m)))
) x
where x.queue in ('observe', 'summarize') or x.class_ = 'endpoint'
  or x.due + x.later + x.running + x.failed + x.paused_shares > 0
  or x.queue = any (select q.name from outbox.queues q where q.made_by in (select m.team_id from mine m)
    or q.id in (select r.queue_id from outbox.routes r where r.team_id in (select m.team_id from mine m)))
order by x.due desc, x.failed desc, x.running desc, x.queue limit %(limit)s
""".encode()
_HOUR = f"""
{_MINE}, ledger as materialized (
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
{_MINE}
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
  or (o.team_id is not null and {_SEES.format(team="o.team_id", project="o.project_id")})
order by w.state = 'silent', w.name, w.started_at limit %(limit)s
""".encode()
_LAST = f"""
select a.at, a.action, a.actor, a.resource_type, a.resource_id, a.project_id, a.request_id, a.details
from outbox.audit_log a
where {_SEES.format(team="a.team_id", project="a.project_id")} and a.id >= outbox.uuid7_floor(
  (select outbox.clock()) - interval '7 days') and a.action <> 'observation.read' NARROW
order by a.id desc limit %(limit)s
"""
_OF_TEAM = "and a.team_id = %(team)s"
_OPEN = f"""
{_MINE}
select count(*)::int as n from (
  select from mine m cross join lateral (select i.id from outbox.interactions i where i.project_id = m.id
    and i.connection_id = %(connection)s and i.state = 'pending' and i.expires_at > (select outbox.clock())
    limit 100) i limit 100) x
""".encode()


_SHARES = f"""
{_MINE}
select p.id as project_id, coalesce(d.due, 0) as due, coalesce(d.capped, false) as capped, d.oldest_due_at,
  coalesce(d.weight, s.weight, 1) as weight, coalesce(s.paused and coalesce(s.paused_until > (
    select outbox.clock()), true), false) as paused, s.paused_until, s.paused_reason
from (
  select x.project_id from outbox.shares x join outbox.queues q on q.id = x.queue_id where q.name = %(queue)s
  union select x.project_id from outbox.tenant_depth x where x.queue = %(queue)s) u
join mine p on p.id = u.project_id
left join outbox.tenant_depth d on d.queue = %(queue)s and d.project_id = u.project_id
left join outbox.shares s on s.project_id = u.project_id
  and s.queue_id = (select q.id from outbox.queues q where q.name = %(queue)s)
order by d.due desc nulls last, p.id limit %(limit)s
""".encode()
_SETTINGS = b"""
select q.name, q.handler, q.concurrency, q.per_worker, q.lease_size, q.rate_per_second::float8, q.rate_burst,
  q.attempts, q.backoff, (extract(epoch from q.timeout) * 1000)::bigint as timeout_ms, q.on_dead
from outbox.queues q where q.name = %s
"""
_DEAD = f"""
{_MINE}, dead as materialized (
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
group by q.name, q.handler, d.class, d.status, d.head
order by jobs desc, last_at desc limit %(limit)s
""".encode()


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What a project has of a queue."""

    project_id: UUID
    due: int
    capped: bool
    oldest_due_at: datetime | None
    weight: int
    paused: bool
    paused_until: datetime | None
    paused_reason: str | None


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


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as it stands; of what waits, only what the caller may see."""

    queue: str
    handler: str
    class_: str
    due: int
    later: int
    held: int
    running: int
    failed: int
    capped: bool
    lag: float | None
    """Seconds that the oldest due job has waited."""
    paused: bool
    paused_until: datetime | None
    paused_reason: str | None
    paused_shares: int
    closed_until: datetime | None
    closed_reason: str | None
    workers: int


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


async def queues(
    conn: Conn, caller: Caller, *, project: UUID | None = None, queue: str | None = None, limit: int = 200
) -> list[Depth]:
    """Those with the most work first."""
    everywhere = caller.everywhere and project is None
    values = _values(caller, project) | {"queue": queue, "limit": limit}
    return await rows.many(await conn.execute(_EVERY_QUEUE if everywhere else _OWN_QUEUES, values), Depth)


async def settings(conn: Conn, queue: str) -> steering.Queue:
    """Of a queue that the caller has seen."""
    return await rows.one(await conn.execute(_SETTINGS, (queue,)), steering.Queue)


async def shares(conn: Conn, caller: Caller, queue: str, limit: int = 100) -> list[Share]:
    """Projects with work there, or with settings of their own, the busiest first."""
    values = _values(caller) | {"queue": queue, "limit": limit}
    return await rows.many(await conn.execute(_SHARES, values), Share)


async def dead(
    conn: Conn,
    caller: Caller,
    *,
    project: UUID | None = None,
    queue: str | None = None,
    class_: str | None = None,
    limit: int = 50,
) -> list[Group]:
    """Dead letters by error, the largest group first; of the newest 10,000 of each project."""
    values = _values(caller, project) | {"queue": queue, "class": class_, "limit": limit}
    return await rows.many(await conn.execute(_DEAD, values), Group)


async def hour(conn: Conn, caller: Caller, most: int = NEWEST) -> list[Minute]:
    """What ended in each of the last 60 minutes, among the newest rows of the ledger."""
    values = _values(caller) | {"most": most, "every": caller.everywhere}
    return await rows.many(await conn.execute(_HOUR, values), Minute)


async def streams(
    conn: Conn, caller: Caller, *, project: UUID | None = None, limit: int = 100
) -> list[Stream]:
    """Those that are behind first."""
    values = _values(caller, project) | {"limit": limit}
    return await rows.many(await conn.execute(_STREAMS, values), Stream)


async def workers(conn: Conn, caller: Caller, limit: int = 100) -> list[Worker]:
    """All for an operator, else the pull workers of the caller's own keys."""
    values = _values(caller) | {"everywhere": caller.everywhere, "limit": limit}
    return await rows.many(await conn.execute(_WHO, values), Worker)


async def lines(conn: Conn, caller: Caller, limit: int = 8) -> list[Line]:
    """The newest of a week, newest first; reading is left out."""
    query = _LAST.replace("NARROW", "" if caller.team_id is None else _OF_TEAM).encode()
    values = _values(caller) | {"team": caller.team_id, "limit": limit}
    return await rows.many(await conn.execute(query, values), Line)


async def questions(conn: Conn, caller: Caller, connection: str) -> int:
    """How many wait there, up to 100."""
    values = _values(caller) | {"connection": connection}
    return await rows.value(await conn.execute(_OPEN, values), int)


async def standstill(conn: Conn, since: timedelta = timedelta(seconds=1)) -> int:
    """Transactions open for longer that keep their events out of the feeds."""
    query = b"select count(*) from outbox.pending_stalled where coalesce(xact_age > %s, true)"
    return await rows.value(await conn.execute(query, (since,)), int)


def _values(caller: Caller, project: UUID | None = None) -> dict[str, Any]:
    return {"caller": row(caller), "project": project}
