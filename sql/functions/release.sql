-- outbox.release(worker, lease, jobs, reason) -> how many went back
--
-- Puts unfinished jobs back, as they were: the attempt is not spent, the place is the old one. A lease that is
-- over: 0. Null jobs: all of it.

drop function if exists outbox.release;
create function outbox.release(
  p_worker uuid, p_lease uuid, p_jobs uuid[] default null, p_reason text default 'released'
) returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_items outbox.settling[];
begin
  perform outbox.need_read_committed();
  if session_user <> current_user then
    p_worker := outbox.mine(p_worker);
  end if;
  perform from outbox.leases l where l.id = p_lease and l.worker_id = p_worker for update;
  v_items := outbox.lease_items(p_lease, p_jobs, 'released', left(p_reason, 100));
  v_items := outbox.decide(array(select i from unnest(v_items) i where i.worker_id = p_worker), v_now);
  perform outbox.conclude(v_items, v_now);
  perform outbox.heard(p_worker);
  return cardinality(v_items);
end
$$;
