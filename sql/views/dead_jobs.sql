-- What failed for good, and why?

create or replace view outbox.dead_jobs as
select d.job_id, d.team_id, d.project_id, q.name as queue, q.handler, j.event_id, d.failed_at,
  d.attempt::int as attempts, d.class, d.status::int as status, left(d.error, 300) as error
from outbox.dead_letters d
join outbox.queues q on q.id = d.queue_id
cross join lateral (select j.event_id from outbox.jobs j where j.id = d.job_id) j;
