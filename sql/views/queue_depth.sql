-- What waits in each queue, and how late is it?
--
-- due: ready to be claimed, jobs behind the head of their lane included; later: not yet due, `held` of them for a
-- reason; failed: dead letters. oldest_due_at is of what a claim could take now: the shares' most urgent rows (300
-- shares) and free lanes. idle_workers run nothing.

create or replace view outbox.queue_depth as
select q.name as queue, q.handler, least(d.due, 10000) as due, least(w.later, 10000) as later,
  least(w.held, 10000) as held, r.running, least(f.failed, 10000) as failed,
  d.seen > 10000 or w.later > 10000 or f.failed > 10000 as capped, o.oldest_due_at, t.now - o.oldest_due_at as lag,
  (select l.run_at from outbox.later l where l.queue_id = q.id order by l.run_at limit 1) as next_due_at,
  q.paused and coalesce(q.paused_until > t.now, true) as paused,
  case when q.closed_until > t.now then q.closed_until end as closed_until, q.concurrency, k.workers, k.idle_workers
from outbox.queues q
cross join (select outbox.clock() as now) t
cross join lateral (
  select count(*) as seen, count(*) filter (where s.run_at <= t.now) as due
  from (select r.run_at from outbox.ready r where r.queue_id = q.id limit 10001) s) d
cross join lateral (
  select count(*) as later, count(s.held) as held
  from (select l.held from outbox.later l where l.queue_id = q.id limit 10001) s) w
cross join lateral (
  select coalesce(sum(cardinality(l.job_ids)), 0) as running from outbox.leases l where l.queue_id = q.id) r
cross join lateral (
  select count(*) as failed from (select from outbox.dead_letters d where d.queue_id = q.id limit 10001) s) f
cross join lateral (
  with recursive share(lane, run_at, n) as (
    (select x.lane, x.run_at, 1 from outbox.ready x where x.queue_id = q.id and x.lane > 0
      order by x.lane, x.priority, x.run_at limit 1)
    union all
    select y.lane, y.run_at, s.n + 1
    from share s
    cross join lateral (select x.lane, x.run_at from outbox.ready x where x.queue_id = q.id and x.lane > s.lane
      order by x.lane, x.priority, x.run_at limit 1) y
    where s.n < 300
  )
  select least((select min(s.run_at) from share s where s.run_at <= t.now), (
    select l.due_at from outbox.lanes l
    where l.queue_id = q.id and l.lease_id is null and l.blocked_by is null and l.due_at <= t.now
    order by l.due_at limit 1)) as oldest_due_at) o
cross join lateral (
  select count(*) as workers, count(*) filter (where x.running = 0) as idle_workers
  from outbox.workers x
  where x.fenced_at is null and not x.draining and x.beat_at >= t.now - 5 * x.beat_every
    and q.handler = any (x.handlers)
    and (x.queues is null or exists (select from unnest(x.queues) u
      where u = q.name or (u like '%*' and starts_with(q.name, left(u, -1)))))) k;
