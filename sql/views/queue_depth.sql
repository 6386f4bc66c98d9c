-- What waits in each queue, and how late is it?
--
-- due: ready to be claimed, jobs behind the head of their lane included; later: not yet due, `held` of them for a
-- reason; failed: dead letters. oldest_due_at is of what a claim could take now: the shares' most urgent rows (300
-- shares) and free lanes. idle_workers run nothing.

create or replace view outbox.queue_depth as
select q.name as queue, q.handler, f.due, f.later, f.held, f.running, f.failed, f.capped, f.oldest_due_at,
  t.now - f.oldest_due_at as lag, f.next_due_at, q.paused and coalesce(q.paused_until > t.now, true) as paused,
  case when q.closed_until > t.now then q.closed_until end as closed_until, q.concurrency, f.workers, f.idle_workers
from outbox.queues q
cross join (select outbox.clock() as now offset 0) t
cross join lateral outbox.queue_figures(q.id) f;
