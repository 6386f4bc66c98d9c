-- Which error is it? The failures of the last 24 hours by class, status and the head of their text
--
-- Digits are shown as #, so that ids do not tell equal errors apart. At most 200,000 ledger rows are read.

create or replace view outbox.failure_groups as
select q.name as queue, q.handler, a.class, a.status::int as status, a.error_head, count(*) as attempts,
  count(distinct a.job_id) as jobs, min(a.at) as first_at, max(a.at) as last_at,
  (array_agg(a.job_id order by a.at desc))[1] as sample_job
from (
  select x.job_id, x.class, x.status, x.at,
    regexp_replace(left(split_part(x.error, e'\n', 1), 100), '[0-9]+', '#', 'g') as error_head
  from outbox.attempts x
  where x.at >= (select outbox.clock()) - interval '24 hours' and x.outcome in ('failed', 'timed_out', 'lost')
  limit 200000) a
cross join lateral (select j.queue_id from outbox.jobs j where j.id = a.job_id) j
join outbox.queues q on q.id = j.queue_id
group by q.name, q.handler, a.class, a.status, a.error_head;
