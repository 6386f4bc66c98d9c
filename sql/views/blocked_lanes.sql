-- Which ordering keys stand still?
--
-- state: blocked (a dead head, until it is retried, cancelled or purged), held (for a reason) or waiting (its head
-- failed, or is due later). waiting: how many jobs stand behind the head. At most 1,000 lanes that wait by themselves.

create or replace view outbox.blocked_lanes as
select q.name as queue, l.project_id, l.key as ordering_key, coalesce(l.blocked_by, h.job_id) as head_job_id,
  case when l.blocked_by is not null then 'blocked' when l.held is not null then 'held' else 'waiting' end as state,
  case when l.blocked_by is null then l.due_at end as due_at,
  least(c.n - (l.blocked_by is null)::int, 10000) as waiting
from (
  select b.* from outbox.lanes b where b.blocked_by is not null
  union all
  (select w.* from outbox.queues k
    cross join lateral (select w.* from outbox.lanes w
      where w.queue_id = k.id and w.lease_id is null and w.blocked_by is null and w.due_at > (select outbox.clock())
      order by w.due_at limit 1000) w
    limit 1000)
) l
join outbox.queues q on q.id = l.queue_id
left join lateral (select r.job_id from outbox.ready r where r.queue_id = l.queue_id and r.lane = l.id
  order by r.priority, r.run_at, r.job_id limit 1) h on true
cross join lateral (select count(*)::int as n from (
  select from outbox.ready r where r.queue_id = l.queue_id and r.lane = l.id limit 10001) x) c;
