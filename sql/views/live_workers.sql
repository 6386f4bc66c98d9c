-- Who is alive, where, doing what? silent: no beat for 1 1/3 of its interval, or declared dead (kept a day)
--
-- kind: daemon; pull, with a key over HTTP; sql, with a login of its own. Those that do not beat are heard of when they
-- claim, extend or settle, and their `running` is what they hold.

create or replace view outbox.live_workers as
select w.id as worker_id, w.name, w.host, w.pid, w.version, w.kind, w.queues, w.handlers, w.started_at,
  t.now - w.beat_at as beat_age,
  case when w.fenced_at is not null or w.beat_at < t.now - w.beat_every * 4 / 3 then 'silent'
    when w.draining then 'draining' else 'alive' end as state,
  w.slots, case when w.beats then w.running else (select coalesce(sum(cardinality(l.job_ids)), 0)::int
    from outbox.leases l where l.worker_id = w.id) end as running
from outbox.workers w
cross join (select outbox.clock() as now offset 0) t;
