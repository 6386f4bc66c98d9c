-- outbox.settle(worker, results) -> (job_id, lease_id, accepted, state, due_at, note) of each result
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
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_items outbox.settling[];
  v_rest outbox.settling[];
  v_done uuid[];
  v_open outbox.settling[] := '{}';
begin
  perform outbox.need_read_committed();
  if session_user <> current_user then
    p_worker := outbox.mine(p_worker);
  end if;
  v_items := outbox.settle_items(p_worker, p_results);
  -- Of several leases each call locks the first one first, or two flushes could wait for each other.
  if exists (select from unnest(v_items) i where i.lease_id <> v_items[1].lease_id) then
    perform from outbox.leases l
    where l.id = any (array(select i.lease_id from unnest(v_items) i)) and l.worker_id = p_worker
    order by l.id for update;
  end if;
  v_done := outbox.settle_whole(p_worker, v_items, v_now);
  v_rest := array(select i from unnest(v_items) i where not i.lease_id = any (v_done));
  if cardinality(v_rest) > 0 then
    perform from outbox.leases l
    where l.id = any (array(select i.lease_id from unnest(v_rest) i)) and l.worker_id = p_worker
    order by l.id for update;
    v_open := outbox.decide(outbox.settle_open(p_worker, v_rest), v_now);
    perform outbox.conclude(v_open, v_now);
  end if;
  perform outbox.heard(p_worker);
  -- Nearly always nothing is refused; then there is nothing to look up or to merge.
  if cardinality(v_open) = cardinality(v_rest) then
    return query
    select i.job_id, i.lease_id, true, 'completed', null::timestamptz, null::text
    from unnest(v_items) i where i.lease_id = any (v_done)
    union all
    select o.job_id, o.lease_id, true, o.state, o.due_at, null from unnest(v_open) o;
    return;
  end if;
  return query
  select r.job_id, r.lease_id, r.accepted, r.state, r.due_at, r.note from (
    select i.ord, i.job_id, i.lease_id, true as accepted, 'completed' as state, null::timestamptz as due_at,
      null as note
    from unnest(v_items) i where i.lease_id = any (v_done)
    union all
    select o.ord, o.job_id, o.lease_id, true, o.state, o.due_at, null from unnest(v_open) o
    union all
    select * from outbox.settle_refused(p_worker, v_rest, array(select o.ord from unnest(v_open) o))
  ) r order by r.ord;
end
$$;
