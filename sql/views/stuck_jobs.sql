-- What should have moved a minute ago, and has not? At most 1,000, oldest first
--
-- reason: as outbox.why, in short: queue_paused, share_paused, queue_closed, lane, no_worker, busy; not_numbered: its
-- event waits for the sequencer; not_staged: due, and still in `later`; worker_silent: its worker may be dead.
-- blocked_by: the job before it in its lane. Of each queue the first 1,000 unkeyed and 1,000 keyed rows are
-- looked at.

create or replace view outbox.stuck_jobs as
select s.job_id, q.name as queue, q.handler, j.project_id, coalesce(s.reason, case
    when q.paused and coalesce(q.paused_until > t.now, true) then 'queue_paused'
    when h.paused and coalesce(h.paused_until > t.now, true) then 'share_paused'
    when q.closed_until > t.now then 'queue_closed'
    when s.blocked_by is not null then 'lane'
    when not exists (select from outbox.workers x
      where x.fenced_at is null and not x.draining and x.beat_at >= t.now - 5 * x.beat_every
        and q.handler = any (x.handlers) and (x.queues is null or exists (select from unnest(x.queues) u
          where u = q.name or (u like '%*' and starts_with(q.name, left(u, -1)))))) then 'no_worker'
    else 'busy' end) as reason, s.since, s.blocked_by
from (select outbox.clock() as now) t
cross join lateral (
  select r.job_id, null as reason, r.run_at as since,
    case when r.lane < 0 then nullif(coalesce(l.job_id, l.blocked_by, (select x.job_id from outbox.ready x
      where x.queue_id = r.queue_id and x.lane = r.lane order by x.priority, x.run_at, x.job_id limit 1)), r.job_id)
    end as blocked_by
  from outbox.queues q
  cross join lateral (
    (select r.* from outbox.ready r where r.queue_id = q.id and r.lane > 0
      order by r.lane, r.priority, r.run_at limit 1000)
    union all
    (select r.* from outbox.ready r where r.queue_id = q.id and r.lane < 0
      order by r.lane, r.priority, r.run_at limit 1000)) r
  left join outbox.lanes l on l.id = r.lane
  where r.run_at < t.now - interval '1 min'
    and (l.id is null or l.lease_id is not null or l.blocked_by is not null or l.due_at < t.now - interval '1 min')
  union all
  (select w.job_id, 'not_staged', w.run_at, null from outbox.later w where w.run_at < t.now - interval '1 min'
    order by w.run_at limit 1000)
  union all
  select n.id, 'not_numbered', p.at, null
  from (select p.at, p.jobs from outbox.pending p where p.jobs is not null and p.at < t.now - interval '1 min'
    limit 1000) p
  cross join lateral unnest(p.jobs) n(id)
  union all
  select m.id, 'worker_silent', coalesce(w.beat_at, l.claimed_at), null
  from outbox.leases l
  left join outbox.workers w on w.id = l.worker_id
  cross join lateral unnest(l.job_ids) m(id)
  where l.deadline_at < t.now - interval '1 min' or (w.id is null and l.claimed_at < t.now - interval '1 min')
    or (w.beats and w.beat_at < t.now - interval '1 min')
) s
cross join lateral (select j.project_id, j.queue_id from outbox.jobs j where j.id = s.job_id) j
join outbox.queues q on q.id = j.queue_id
left join outbox.shares h on h.queue_id = j.queue_id and h.project_id = j.project_id
order by s.since, s.job_id
limit 1000;
