"""Queues as they stand, for whoever looks: all of them, or what of them is the caller's.

An operator gets the operators' view; whoever is bound to a team or a project gets the same columns, counted
over their own rows. Every count stops at 10,000; of what is put off, the next 10,000 of a queue count.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store import steering
from outboxd.store.callers import row

Conn = AsyncConnection[dict[str, Any]]

SEES = "outbox.sees(outbox.caller_of(%(caller)s), {team}, {project})"
MINE = f"""
with mine as materialized (
  select p.id, p.team_id, p.number from outbox.projects p
  where {SEES.format(team="p.team_id", project="p.id")} and (%(project)s::uuid is null or p.id = %(project)s)
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
{MINE}, dead as materialized (
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
  cross join (select outbox.clock() as now offset 0) t
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
_SHARES = f"""
{MINE}
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


async def queues(
    conn: Conn, caller: Caller, *, project: UUID | None = None, queue: str | None = None, limit: int = 200
) -> list[Depth]:
    """Those with the most work first."""
    everywhere = caller.everywhere and project is None
    values = values_of(caller, project) | {"queue": queue, "limit": limit}
    return await rows.many(await conn.execute(_EVERY_QUEUE if everywhere else _OWN_QUEUES, values), Depth)


async def settings(conn: Conn, queue: str) -> steering.Queue:
    """Of a queue that the caller has seen."""
    return await rows.one(await conn.execute(_SETTINGS, (queue,)), steering.Queue)


async def shares(conn: Conn, caller: Caller, queue: str, limit: int = 100) -> list[Share]:
    """Projects with work there, or with settings of their own, the busiest first."""
    values = values_of(caller) | {"queue": queue, "limit": limit}
    return await rows.many(await conn.execute(_SHARES, values), Share)


def values_of(caller: Caller, project: UUID | None = None) -> dict[str, Any]:
    return {"caller": row(caller), "project": project}
