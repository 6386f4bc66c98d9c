-- What runs, where, and for how long already?

create or replace view outbox.open_leases as
select m.job_id, q.name as queue, q.handler, j.project_id, l.worker_id, w.host, l.id as lease_id,
  m.attempt::int as attempt, l.claimed_at, (select outbox.clock()) - l.claimed_at as age, l.deadline_at
from outbox.leases l
join outbox.queues q on q.id = l.queue_id
cross join lateral unnest(l.job_ids, l.attempts) m(job_id, attempt)
cross join lateral (select j.project_id from outbox.jobs j where j.id = m.job_id) j
left join outbox.workers w on w.id = l.worker_id;
