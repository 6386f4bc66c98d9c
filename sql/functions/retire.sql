-- outbox.retire(worker) -> how many jobs it gave back; the worker's row goes
--
-- The last word of a worker that drained: whatever it still holds goes back unspent.

create or replace function outbox.retire(p_worker uuid) returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_leases uuid[];
  v_items outbox.settling[];
begin
  perform outbox.need_read_committed();
  if session_user <> current_user then
    p_worker := outbox.mine(p_worker);
  end if;
  -- All leases before all lanes, as everywhere: one by one would wait for a lease while holding a lane.
  v_leases := array(select l.id from outbox.leases l where l.worker_id = p_worker order by l.id for update);
  v_items := outbox.decide(array(
    select i from unnest(v_leases) x(id)
    cross join lateral unnest(outbox.lease_items(x.id, null, 'released', 'retired')) i), v_now);
  perform outbox.conclude(v_items, v_now);
  delete from outbox.idle i where i.worker_id = p_worker;
  delete from outbox.workers w where w.id = p_worker;
  return cardinality(v_items);
end
$$;
