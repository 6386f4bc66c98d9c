"""Jobs of generation of a team, or of a project, counted in the words of older servers."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model.health import Lane

Conn = AsyncConnection[dict[str, Any]]

# `later` are those that wait for a time; whatever is in none of the tables ended: completed, or cancelled.
_READ = b"""
with newest as materialized (
  select j.id, j.queue_id from (select p.id from outbox.projects p where p.team_id = %s
    and (%s::uuid is null or p.id = %s) limit 1000) p
  cross join lateral (select j.id, j.queue_id from outbox.jobs j where j.project_id = p.id
    order by j.id desc limit 5000) j
  order by j.id desc limit 5000
), running as materialized (
  select l.queue_id, unnest(l.job_ids) as id from outbox.leases l
)
select q.handler as kind, q.name, count(r.job_id) as waiting, count(a.id) as active,
  count(*) filter (where coalesce(r.job_id, w.job_id, d.job_id, a.id) is null and e.done) as completed,
  count(d.job_id) as failed, count(w.job_id) as delayed, 0 as stalled, false as unavailable
from outbox.queues q
left join newest j on j.queue_id = q.id
left join lateral (select r.job_id from outbox.ready r where r.job_id = j.id offset 0) r on true
left join lateral (select w.job_id from outbox.later w where w.job_id = j.id offset 0) w on true
left join lateral (select d.job_id from outbox.dead_letters d where d.job_id = j.id offset 0) d on true
left join running a on a.id = j.id
left join lateral (select a.outcome = 'completed' as done from outbox.attempts a where a.job_id = j.id
  order by a.no desc limit 1) e on true
where q.name in ('observe', 'summarize')
group by q.handler, q.name
order by q.name
"""


async def read(conn: Conn, team: UUID, project: UUID | None) -> list[Lane]:
    """Of the newest 5,000 jobs of the project, or of all the team's."""
    return await rows.many(await conn.execute(_READ, [team, project, project]), Lane)
