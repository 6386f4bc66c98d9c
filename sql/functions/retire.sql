-- outbox.retire(worker) -> how many jobs it gave back; the worker's row goes
--
-- The last word of a worker that drained: whatever it still holds goes back unspent.

create or replace function outbox.retire(p_worker uuid) returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_lease uuid;
  v_back int := 0;
begin
  perform outbox.need_read_committed();
  for v_lease in select l.id from outbox.leases l where l.worker_id = p_worker order by l.id loop
    v_back := v_back + outbox.release(p_worker, v_lease);
  end loop;
  delete from outbox.idle i where i.worker_id = p_worker;
  delete from outbox.workers w where w.id = p_worker;
  return v_back;
end
$$;
