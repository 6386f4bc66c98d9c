-- What waits for a budget, a provider, a session, or because somebody snoozed it?
--
-- oldest_at: when the oldest of them was made; until: when the first is due again by itself. Counted over the
-- first 10,000 held jobs, 10,000 held lanes, and 10,000 due jobs of each queue that a provider's hold has closed.

create or replace view outbox.held_jobs as
select h.held, q.name as queue, h.project_id, count(*) as jobs, c.capped, min(h.made_at) as oldest_at,
  min(h.until) as until
from (
  select l.held, l.queue_id, p.id as project_id, outbox.uuid7_time(l.job_id) as made_at, l.run_at as until
  from (select l.* from outbox.later l where l.held is not null limit 10000) l
  join outbox.projects p on p.number = l.lane
  union all
  select l.held, l.queue_id, l.project_id, outbox.uuid7_time(r.job_id), l.due_at
  from (select l.* from outbox.lanes l where l.held is not null limit 10000) l
  cross join lateral (select r.job_id from outbox.ready r where r.queue_id = l.queue_id and r.lane = l.id
    order by r.priority, r.run_at, r.job_id limit 1) r
  union all
  select q.closed_reason, q.id, coalesce(p.id, k.project_id), outbox.uuid7_time(r.job_id), q.closed_until
  from outbox.queues q
  cross join lateral (select r.job_id, r.lane from outbox.ready r where r.queue_id = q.id
    order by r.lane, r.priority, r.run_at, r.job_id limit 10000) r
  left join outbox.projects p on p.number = r.lane
  left join outbox.lanes k on k.id = r.lane
  where q.closed_reason = 'provider' and q.closed_until > (select outbox.clock())
) h
join outbox.queues q on q.id = h.queue_id
cross join (select (select count(*) from (select from outbox.later l where l.held is not null limit 10001) x) > 10000
  or (select count(*) from (select from outbox.lanes l where l.held is not null limit 10001) x) > 10000 as held_capped) b
cross join lateral (select b.held_capped or q.closed_reason = 'provider' and (select count(*) from (select
  from outbox.ready r where r.queue_id = q.id limit 10001) x) > 10000 as capped) c
group by h.held, q.name, h.project_id, c.capped;
