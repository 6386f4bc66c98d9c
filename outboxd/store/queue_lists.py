"""Queues as those see them whose jobs are in them.

A queue is the server's, what waits in it is a tenant's. A tenant sees the queues that it made, routes to or
has an endpoint on, and those in which a job of its projects waits, lies dead, or was among their newest
jobs. Weakness: `later` has no index by tenant, so of a queue in which more than 100,000 jobs are put off
those beyond are not counted; nor are dead letters of a team beyond 200,000.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model.queues import Queue

Conn = AsyncConnection[dict[str, Any]]

_SETTINGS = """
jsonb_build_object('concurrency', q.concurrency, 'perWorker', q.per_worker, 'leaseSize', q.lease_size,
    'rate', case when q.rate_per_second is not null
      then jsonb_build_object('perSecond', q.rate_per_second, 'burst', q.rate_burst) end,
    'attempts', q.attempts, 'backoff', q.backoff,
    'timeoutMs', (extract(epoch from q.timeout) * 1000)::bigint, 'onDead', q.on_dead)
"""
_SHOWN = f"""
  q.name, q.handler, q.class as class_, outbox.ms(case when q.closed_until > t.now then q.closed_until end)
    as closed_until_epoch, {_SETTINGS} as settings
"""
_MINE = """
mine as materialized (
  select p.id, p.number from outbox.projects p
  where p.team_id = %(team)s and (%(project)s::uuid is null or p.id = %(project)s)
  order by p.id limit 10000
), dead as materialized (
  select d.queue_id, count(*) as n from (select d.queue_id from mine p cross join lateral (select d.queue_id
    from outbox.dead_letters d where d.project_id = p.id limit 100000 offset 0) d limit 200000) d
  group by d.queue_id
)
"""
# `offset 0` keeps each look a look by index. Of a project the team's making says nothing: a sibling may have.
_THEIRS = """
theirs as materialized (
  select q.id from outbox.queues q where q.made_by = %(team)s and %(project)s::uuid is null
  union select r.queue_id from outbox.routes r
    where r.team_id = %(team)s and (r.project_id is null or r.project_id in (select id from mine))
  union select e.queue_id from mine p join outbox.endpoints e on e.project_id = p.id
  union select s.queue_id from outbox.shares s where s.project_id in (select id from mine)
  union select w.queue_id from (select w.queue_id from mine p cross join lateral (select j.queue_id
    from outbox.jobs j where j.project_id = p.id order by j.id desc limit 5000 offset 0) w limit 20000) w
  union select queue_id from dead
  union select q.id from outbox.queues q where q.class <> 'endpoint'
    and (%(name)s::text is null or q.name = %(name)s)
    and exists (select from outbox.ready r where r.queue_id = q.id) and exists (
    select from (select number from mine limit 1000) p cross join lateral (select from outbox.ready r
      where r.queue_id = q.id and r.lane = p.number limit 1 offset 0) r)
)
"""
_PAGE = """
page as materialized (
  select q.*, exists (select from outbox.ready r where r.queue_id = q.id) as waits,
    exists (select from outbox.lanes n where n.queue_id = q.id) as ordered
  from outbox.queues q where {whose}
    and (%(name)s::text is null or q.name = %(name)s) and (%(after)s::text is null or q.name > %(after)s)
  order by q.name limit %(limit)s
)
"""
_OF_TENANT = f"""
with {_MINE}, {_THEIRS}, {_PAGE.format(whose="q.id in (select id from theirs)")}
select {_SHOWN}, least(d.due, 10000) as due, least(w.later, 10000) as later, least(w.held, 10000) as held,
  r.running, least(f.failed, 10000) as failed, outbox.ms(d.oldest) as oldest_due_at_epoch,
  s.whole or cardinality(s.projects) >= (select count(*) from mine) as paused,
  outbox.ms(case when s.whole then q.paused_until else s.until end) as paused_until_epoch,
  case when s.whole then q.paused_reason else s.reason end as paused_reason,
  s.projects[:100] as paused_projects
from page q
cross join (select outbox.clock() as now) t
cross join lateral (
  select count(*) as due, min(u.run_at) as oldest from (
    select r.run_at from mine p cross join lateral (select r.run_at from outbox.ready r
      where r.queue_id = q.id and r.lane = p.number limit 10001 offset 0) r
    where q.waits
    union all
    select r.run_at from mine p
    cross join lateral (select n.id from outbox.lanes n
      where n.queue_id = q.id and n.project_id = p.id offset 0) n
    cross join lateral (select r.run_at from outbox.ready r
      where r.queue_id = q.id and r.lane = n.id limit 10001 offset 0) r
    where q.waits and q.ordered
    limit 10001) u
  where u.run_at <= t.now) d
cross join lateral (
  select count(*) as later, count(u.held) as held from (
    select l.held from (select l.lane, l.held from outbox.later l where l.queue_id = q.id limit 100000) l
    left join outbox.lanes n on n.id = l.lane and l.lane < 0
    where l.lane in (select number from mine) or n.project_id in (select id from mine)
    limit 10001) u) w
cross join lateral (
  select count(*) as running from outbox.leases l cross join lateral unnest(l.lanes) u (lane)
  left join outbox.lanes n on n.id = u.lane and u.lane < 0
  where l.queue_id = q.id
    and (u.lane in (select number from mine) or n.project_id in (select id from mine))) r
cross join lateral (select coalesce(sum(d.n), 0)::int as failed from dead d where d.queue_id = q.id) f
cross join lateral (
  select q.paused and coalesce(q.paused_until > t.now, true) as whole,
    coalesce(array_agg(s.project_id order by s.project_id), '{{}}') as projects,
    case when bool_and(s.paused_until is not null) then max(s.paused_until) end as until,
    min(s.paused_reason) as reason
  from outbox.shares s
  where s.queue_id = q.id and s.project_id in (select id from mine)
    and s.paused and coalesce(s.paused_until > t.now, true)) s
order by q.name
""".encode()
_OF_OPERATOR = f"""
with {_PAGE.format(whose="true")}
select {_SHOWN}, d.due, d.later, d.held, d.running, d.failed,
  outbox.ms(d.oldest_due_at) as oldest_due_at_epoch,
  d.paused, outbox.ms(case when d.paused then q.paused_until end) as paused_until_epoch,
  case when d.paused then q.paused_reason end as paused_reason,
  array(select s.project_id from outbox.shares s where s.queue_id = q.id and s.paused
    and coalesce(s.paused_until > t.now, true) order by s.project_id limit 100) as paused_projects
from page q
cross join (select outbox.clock() as now) t
cross join lateral (select d.* from outbox.queue_depth d where d.queue = q.name offset 0) d
order by q.name
""".encode()


async def listed(
    conn: Conn,
    team: UUID | None,
    projects: Sequence[UUID] | None,
    *,
    name: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> list[Queue]:
    """Those after the name `after`. `team` None: an operator; `projects` None: all the team's."""
    given = {
        "team": team,
        "project": projects[0] if projects else None,
        "name": name,
        "after": after,
        "limit": limit,
    }
    return await rows.many(await conn.execute(_OF_OPERATOR if team is None else _OF_TENANT, given), Queue)
