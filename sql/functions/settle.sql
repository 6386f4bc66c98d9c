-- outbox.settle(worker, results) -> (job_id, lease_id, accepted, state, due_at, note), in the order given
--
-- Says what became of up to 500 jobs: {lease, job, outcome, ms, output?, class?, status?, error?, detail?,
-- retryInMs?, final?, forMs?, reason?}, outcome completed, failed, timed_out, snoozed or cancelled. Accepted if the
-- lease is this worker's and still holds the job, judged in the locked lease row: an anti-join on the ledger
-- would read an old snapshot and accept twice. Refused: nothing changes, note lease_over or not_in_lease; the
-- same said again: accepted, note `repeated`. So settle is safe to repeat. Malformed: OX400, whole call.

drop function if exists outbox.settle;
create function outbox.settle(p_worker uuid, p_results jsonb)
returns table (job_id uuid, lease_id uuid, accepted boolean, state text, due_at timestamptz, note text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := outbox.clock();
  v_items outbox.settling[];
  v_rest outbox.settling[];
  v_done uuid[];
  v_open outbox.settling[] := '{}';
begin
  perform outbox.need_read_committed();
  v_items := outbox.settle_items(p_worker, p_results);
  v_done := outbox.settle_whole(p_worker, v_items, v_now);
  v_rest := array(select i from unnest(v_items) i where not i.lease_id = any (v_done));
  if cardinality(v_rest) > 0 then
    perform from outbox.leases l
    where l.id = any (array(select i.lease_id from unnest(v_rest) i)) and l.worker_id = p_worker
    order by l.id for update;
    v_open := outbox.decide(outbox.settle_open(p_worker, v_rest), v_now);
    perform outbox.conclude(v_open, v_now);
  end if;
  return query
  select i.job_id, i.lease_id, i.lease_id = any (v_done) or o.job_id is not null or r.outcome is not null,
    coalesce(o.state, case when i.lease_id = any (v_done) then 'completed' end), o.due_at,
    case when i.lease_id = any (v_done) or o.job_id is not null then null when r.outcome is not null then 'repeated'
      when exists (select from outbox.leases l where l.id = i.lease_id and l.worker_id = p_worker)
      then 'not_in_lease' else 'lease_over' end
  from unnest(v_items) i
  left join unnest(v_open) o on o.ord = i.ord
  left join lateral (
    select a.outcome from outbox.attempts a
    where o.job_id is null and not i.lease_id = any (v_done) and a.job_id = i.job_id and a.lease_id = i.lease_id
      and a.worker_id = p_worker and a.outcome = i.outcome limit 1) r on true
  order by i.ord;
end
$$;
