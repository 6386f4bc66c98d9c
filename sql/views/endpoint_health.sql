-- Which webhook targets are sick?
--
-- state: enabled, paused, disabled; closed_until: its breaker is open; probing: afterwards one delivery at a time
-- tries it, until one succeeds. queued: deliveries that wait, counted to 10,000.

create or replace view outbox.endpoint_health as
select e.id as endpoint_id, e.project_id, e.uid, substring(e.url from '^[a-zA-Z]+://(?:[^/?#@]*@)?([^/?#:]+)') as host,
  e.state, coalesce(e.disabled_reason, q.closed_reason) as reason,
  case when q.closed_until > t.now then q.closed_until end as closed_until, e.consecutive_failures, e.first_failure_at,
  e.last_success_at, e.last_class, e.last_status, least(d.ready + d.later, 10000) as queued,
  least(d.oldest_ready, d.oldest_later) as oldest_queued_at, e.last_failure_at, q.probing
from outbox.endpoints e
join outbox.queues q on q.id = e.queue_id
cross join (select outbox.clock() as now offset 0) t
cross join lateral (
  select (select count(*) from (select from outbox.ready r where r.queue_id = q.id limit 10001) x) as ready,
    (select count(*) from (select from outbox.later l where l.queue_id = q.id limit 10001) x) as later,
    (select min(x.run_at) from (select r.run_at from outbox.ready r where r.queue_id = q.id limit 10001) x) as oldest_ready,
    (select l.run_at from outbox.later l where l.queue_id = q.id order by l.run_at limit 1) as oldest_later) d;
