-- outbox.claim_room(worker, spots, now) -> the spots that may be claimed from, `want` cut to what there is room for
--
-- Pauses, closings and limits are read here, so they hold from their commit on. An exact limit is counted from
-- the queue's open ids under its locked gate, in the statement after the lock; a gate that somebody else holds
-- drops its queue from this claim. Room: lease size, concurrency (one, while its target is being tried), concurrency
-- per worker, tokens.

create or replace function outbox.claim_room(p_worker outbox.workers, p_spots outbox.spot[], p_now timestamptz)
returns outbox.spot[]
language plpgsql
as $$
declare
  v_queues int[] := array(select distinct s.queue_id from unnest(p_spots) s);
  v_gated int[];
  v_left outbox.spot[];
begin
  v_gated := array(select g.queue_id from outbox.gates g where g.queue_id = any (v_queues)
    order by g.queue_id for update skip locked);
  -- Materialized: what holds for a queue is found once, and not for each of its spots.
  with room as materialized (
    select q.id, outbox.paused_shares(q.id, p_now) as paused, least(q.lease_size,
      -- `case`, because the sum is taken even where what it is taken from is null; and dead leases add up.
      case when q.concurrency is not null then case when q.probing then 1 else q.concurrency end - (
        select coalesce(sum(cardinality(l.job_ids)), 0) from outbox.leases l where l.queue_id = q.id) end,
      case when q.per_worker is not null then q.per_worker - (
        select coalesce(sum(cardinality(l.job_ids)), 0) from outbox.leases l
        where l.queue_id = q.id and l.worker_id = p_worker.id) end,
      floor(outbox.tokens(q, g, p_now))) as n
    from unnest(v_queues) i(id)
    cross join lateral (select q.* from outbox.queues q where q.id = i.id) q
    left join outbox.gates g on g.queue_id = q.id and g.queue_id = any (v_gated)
    where outbox.claims_from(p_worker, q, p_now)
      and (q.id = any (v_gated) or (q.concurrency is null and q.rate_per_second is null))
  ), asked as (
    -- More asked than there is room for: each spot's part of it, in their order.
    select s.*, r.n as room, case when sum(s.want) over queue <= r.n then s.want
      else ceil(r.n * s.want / sum(s.want) over queue) end as part
    from unnest(p_spots) with ordinality s(queue_id, lane, priority, run_at, want, at)
    join room r on r.id = s.queue_id
    where cardinality(r.paused) = 0 or s.lane = 0 or not exists (
      select from outbox.projects p where p.number = s.lane and p.id = any (r.paused))
    window queue as (partition by s.queue_id)
  ), given as (
    select a.*, least(a.part, a.room - coalesce(sum(a.part) over (
      partition by a.queue_id order by a.at rows between unbounded preceding and 1 preceding), 0)) as n
    from asked a
  )
  select array_agg(row(g.queue_id, g.lane, g.priority, g.run_at, g.n)::outbox.spot order by g.at)
  into v_left
  from given g where g.n > 0;
  return coalesce(v_left, '{}');
end
$$;
