-- outbox.claim_lease(worker, rows, now) -> setof claimed: the rows leased, with what the worker needs to run them
--
-- One lease row per queue and ≤ 100 jobs, keyed ones apart (not of a worker with a time limit, which says one word
-- about all), and one per job where the handler writes. An event job
-- reads type, payload, key, actor and trace from its event; after a retry the authority is the retrying caller's,
-- from the ledger. Takes the tokens, marks the lanes in hand, drops unique keys that last until the start.
-- Bodies are read once, by primary key.

create or replace function outbox.claim_lease(p_worker outbox.workers, p_rows outbox.ready[], p_now timestamptz)
returns setof outbox.claimed
language plpgsql
as $$
declare
  v_hold interval := outbox.hold();
begin
  return query
  with body as materialized (
    select r.run_at, r.lane, r.job_id, r.queue_id, r.priority, r.attempt, r.no, r.series, r.lane < 0 as keyed,
      j.team_id, j.project_id, j.event_id, j.max_attempts, j.deadline, j.expires_at, j.timeout, j.ordering_key,
      j.unique_until, j.watched, j.key_id, j.actor, j.request_id, j.traceparent, coalesce(e.payload, j.payload) as payload,
      e.type, e.key_id as event_key, e.actor as event_actor, e.request_id as event_request,
      e.traceparent as event_trace, e.hops, r.lane < 0 and p_worker.beats as apart,
      row_number() over (partition by r.queue_id, r.lane < 0 and p_worker.beats order by r.job_id) - 1 as n
    from unnest(p_rows) r
    cross join lateral (select j.* from outbox.jobs j where j.id = r.job_id offset 0) j
    left join lateral (select e.type, e.payload, e.key_id, e.actor, e.request_id, e.traceparent, e.hops
      from outbox.events e where e.id = j.event_id offset 0) e on true
  ), lease as materialized (
    select b.queue_id, b.apart, c.chunk, outbox.uuid7(p_now) as id, q.name, q.handler, q.attempts, q.timeout,
      max(coalesce(b.timeout, q.timeout)) as longest
    from body b
    join outbox.queues q on q.id = b.queue_id
    cross join lateral (select case when q.handler = any (p_worker.writes) then b.n else b.n / 100 end as chunk) c
    group by b.queue_id, b.apart, c.chunk, q.id
  ), sorted as materialized (
    select b.*, l.id as lease_id, l.name, l.handler, l.attempts, l.timeout as usual, l.longest
    from lease l
    join body b on b.queue_id = l.queue_id and b.apart = l.apart
      and l.chunk = case when l.handler = any (p_worker.writes) then b.n else b.n / 100 end
  ), made as (
    insert into outbox.leases (id, worker_id, queue_id, claimed_at, deadline_at, job_ids, nos,
      attempts, series, run_ats, lanes, priorities)
    select s.lease_id, p_worker.id, s.queue_id, p_now,
      p_now + coalesce(p_worker.lease_for, s.longest + interval '30 s'),
      array_agg(s.job_id), array_agg((s.no + 1)::smallint), array_agg((s.attempt + 1)::smallint),
      array_agg(s.series), array_agg(s.run_at), array_agg(s.lane), array_agg(s.priority)
    -- Sorted once for all seven arrays.
    from (select o.* from sorted o order by o.lease_id, o.queue_id, o.longest, o.job_id) s
    group by s.lease_id, s.queue_id, s.longest
  ), freed as (
    delete from outbox.job_keys k
    where k.job_id = any (array(select s.job_id from sorted s where s.unique_until = 'started'))
  ), spent as (
    -- Never back in time: what an earlier claim counted as filled would be filled twice.
    update outbox.gates g set filled_at = greatest(g.filled_at, p_now), tokens = outbox.tokens(q, g, p_now) - u.n
    from (select s.queue_id, count(*) as n from sorted s group by s.queue_id) u
    join outbox.queues q on q.id = u.queue_id
    where g.queue_id = u.queue_id and q.rate_per_second is not null
  ), in_hand as (
    -- Parallel arrays: a join would walk all lanes, or the list once a lane.
    update outbox.lanes l set lease_id = k.leases[array_position(k.ids, l.id)],
      job_id = k.jobs[array_position(k.ids, l.id)], held = null
    from (select array_agg(s.lane) as ids, array_agg(s.lease_id) as leases, array_agg(s.job_id) as jobs
      from sorted s where s.keyed) k
    where l.id = any (k.ids)
  )
  select s.lease_id, s.job_id, s.no + 1, s.attempt + 1, coalesce(s.max_attempts, s.attempts)::int, s.series::int,
    s.name, s.handler, s.lane, -s.priority::int, s.run_at, s.team_id, s.project_id, s.event_id, s.type,
    case when z.bytes <= 65536 then s.payload end, z.bytes, s.ordering_key, coalesce(s.timeout, s.usual),
    coalesce(s.deadline, outbox.uuid7_time(s.job_id) + v_hold), s.expires_at,
    (select c.checkpoint from outbox.checkpoints c where c.job_id = s.job_id and s.no > 0),
    case when s.series > 0 then a.key_id else coalesce(s.key_id, s.event_key) end,
    case when s.series > 0 then a.actor else coalesce(s.actor, s.event_actor) end,
    coalesce(s.request_id, s.event_request), coalesce(s.traceparent, s.event_trace), s.watched, s.queue_id,
    coalesce(s.hops, 0)::int
  from sorted s
  -- What is small and stored as it is needs no text to be measured by.
  cross join lateral (select case when pg_column_size(s.payload) <= 2000
      and pg_column_compression(s.payload) is null then pg_column_size(s.payload)
    else octet_length(s.payload::text) end as bytes) z
  left join lateral (select a.key_id, a.actor from outbox.attempts a
    where s.series > 0 and a.job_id = s.job_id and a.outcome = 'retried' order by a.no desc limit 1) a on true
  order by s.priority, s.run_at, s.job_id;
end
$$;
