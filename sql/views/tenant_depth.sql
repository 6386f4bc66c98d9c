-- Which project floods which queue? At most 1,000 rows: one a project and queue with work that waits
--
-- due: unkeyed jobs, and jobs in up to 1,000 of the project's lanes.

create or replace view outbox.tenant_depth as
with recursive share(queue_id, lane, n) as (
  (select r.queue_id, r.lane, 1 from outbox.ready r where r.lane > 0 order by r.queue_id, r.lane limit 1)
  union all
  select y.queue_id, y.lane, s.n + 1
  from share s
  cross join lateral (
    select x.queue_id, x.lane from (
      (select r.queue_id, r.lane from outbox.ready r where r.queue_id = s.queue_id and r.lane > s.lane
        order by r.lane limit 1)
      union all
      (select z.queue_id, z.lane from outbox.queues q
        cross join lateral (select r.queue_id, r.lane from outbox.ready r
          where r.queue_id = q.id and r.lane > 0 order by r.lane limit 1) z
        where q.id > s.queue_id order by q.id limit 1)) x
    order by x.queue_id limit 1) y
  where s.n < 1000
), keyed(queue_id, project_id, n) as (
  (select l.queue_id, l.project_id, 1 from outbox.lanes l order by l.queue_id, l.project_id limit 1)
  union all
  select y.queue_id, y.project_id, k.n + 1
  from keyed k
  cross join lateral (select l.queue_id, l.project_id from outbox.lanes l
    where (l.queue_id, l.project_id) > (k.queue_id, k.project_id) order by l.queue_id, l.project_id limit 1) y
  where k.n < 1000
), tenant as (
  select s.queue_id, p.id as project_id from share s join outbox.projects p on p.number = s.lane
  union
  select k.queue_id, k.project_id from keyed k
)
select q.name as queue, p.team_id, p.id as project_id, least(d.n, 10000) as due, d.n > 10000 as capped,
  least(d.oldest, (select min(l.due_at) from outbox.lanes l where l.queue_id = q.id and l.project_id = p.id
    and l.lease_id is null and l.blocked_by is null and l.due_at <= m.now)) as oldest_due_at,
  coalesce(s.weight, 1) as weight, coalesce(s.paused and coalesce(s.paused_until > m.now, true), false) as paused
from tenant t
cross join (select outbox.clock() as now offset 0) m
join outbox.queues q on q.id = t.queue_id
join outbox.projects p on p.id = t.project_id
left join outbox.shares s on s.queue_id = t.queue_id and s.project_id = t.project_id
cross join lateral (
  select count(*) as n, min(x.run_at) filter (where x.lane > 0) as oldest
  from (
    select u.run_at, u.lane from (
      select r.run_at, r.lane from outbox.ready r where r.queue_id = t.queue_id and r.lane = p.number
      union all
      select r.run_at, r.lane
      from (select l.id from outbox.lanes l where l.queue_id = t.queue_id and l.project_id = t.project_id limit 1000) l
      join outbox.ready r on r.queue_id = t.queue_id and r.lane = l.id and r.run_at <= m.now) u
    limit 10001) x) d
where d.n > 0
limit 1000;
