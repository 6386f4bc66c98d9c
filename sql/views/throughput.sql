-- How much runs, how fast, per minute of the last hour?
--
-- The newest 500,000 ledger rows. complete: the minute is over, and all of it was read.

create or replace view outbox.throughput as
with moment as materialized (
  select outbox.clock() as now
), ledger as materialized (
  select a.job_id, a.outcome, a.at, a.ms, a.waited_ms
  from outbox.attempts a
  where a.at >= (select m.now from moment m) - interval '60 min'
    and a.outcome in ('completed', 'failed', 'timed_out', 'lost')
  order by a.at desc limit 500000
), cut as (
  select case when count(*) = 500000 then min(l.at) end as at from ledger l
)
select date_trunc('minute', l.at) as minute, q.name as queue, q.handler,
  count(*) filter (where l.outcome = 'completed') as completed,
  count(*) filter (where l.outcome in ('failed', 'timed_out')) as failed,
  count(*) filter (where l.outcome = 'lost') as lost,
  percentile_disc(0.5) within group (order by l.waited_ms) as wait_p50_ms,
  percentile_disc(0.95) within group (order by l.waited_ms) as wait_p95_ms,
  percentile_disc(0.5) within group (order by l.ms) as run_p50_ms,
  percentile_disc(0.95) within group (order by l.ms) as run_p95_ms,
  date_trunc('minute', l.at) >= greatest(c.at, m.now - interval '60 min')
    and date_trunc('minute', l.at) < date_trunc('minute', m.now) as complete
from ledger l
cross join cut c
cross join moment m
cross join lateral (select j.queue_id from outbox.jobs j where j.id = l.job_id) j
join outbox.queues q on q.id = j.queue_id
group by 1, q.name, q.handler, c.at, m.now;
