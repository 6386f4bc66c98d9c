-- outbox.claim_bodies(leases) -> setof claimed: what the worker needs to run them, in claim order
--
-- An event job reads type, payload, key, actor and trace from its event. After a retry the authority is the
-- retrying caller's, from the ledger.

create or replace function outbox.claim_bodies(p_leases uuid[]) returns setof outbox.claimed
language plpgsql stable
as $$
declare
  v_hold interval := outbox.hold();
begin
  return query
  select l.id, i.job, i.no::int, i.attempt::int, coalesce(j.max_attempts, q.attempts)::int, i.series::int,
    q.name, q.handler, i.lane, -i.priority::int, i.run_at, j.team_id, j.project_id, j.event_id, e.type,
    case when b.bytes <= 65536 then coalesce(e.payload, j.payload) end, b.bytes, j.ordering_key,
    coalesce(j.timeout, q.timeout), coalesce(j.deadline, outbox.uuid7_time(j.id) + v_hold), j.expires_at,
    (select c.checkpoint from outbox.checkpoints c where c.job_id = i.job and i.no > 1),
    case when i.series > 0 then a.key_id else coalesce(j.key_id, e.key_id) end,
    case when i.series > 0 then a.actor else coalesce(j.actor, e.actor) end,
    coalesce(j.request_id, e.request_id), coalesce(j.traceparent, e.traceparent), j.watched, q.id,
    coalesce(e.hops, 0)::int
  from outbox.leases l
  cross join lateral (select q.id, q.name, q.handler, q.attempts, q.timeout
    from outbox.queues q where q.id = l.queue_id) q
  cross join lateral unnest(l.job_ids, l.nos, l.attempts, l.series, l.run_ats, l.lanes, l.priorities)
    i(job, no, attempt, series, run_at, lane, priority)
  cross join lateral (select j.* from outbox.jobs j where j.id = i.job) j
  left join lateral (select e.type, e.payload, e.key_id, e.actor, e.request_id, e.traceparent, e.hops
    from outbox.events e where e.id = j.event_id) e on true
  -- Under 2 kB a value is stored as it is; above, its stored size may be a compressed one.
  cross join lateral (select case when pg_column_size(coalesce(e.payload, j.payload)) <= 2000
    then pg_column_size(coalesce(e.payload, j.payload))
    else octet_length(coalesce(e.payload, j.payload)::text) end as bytes) b
  left join lateral (select a.key_id, a.actor from outbox.attempts a
    where i.series > 0 and a.job_id = i.job and a.outcome = 'retried' order by a.no desc limit 1) a on true
  where l.id = any (p_leases)
  order by i.priority, i.run_at, i.job;
end
$$;
