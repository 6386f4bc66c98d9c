-- outbox.reap(limit) -> (job_id, lease_id, worker_id, state): jobs taken back from the dead
--
-- First fences the workers that are dead now, in a statement that a beat cannot race; then opens up to `limit`
-- leases of fenced or vanished workers, past their deadline, or expired. Each job left in one is `lost`
-- (deadline: timed_out, class `hung`) and goes where `decide` says. Leases that somebody settles are skipped:
-- the live settle wins. One bad lease does not wedge the others: on an error they are taken one by one.

drop function if exists outbox.reap;
create function outbox.reap(p_limit int default 20)
returns table (job_id uuid, lease_id uuid, worker_id uuid, state text)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_leases uuid[];
  v_lease uuid;
begin
  perform outbox.need_read_committed();
  perform outbox.fence_dead();
  v_leases := outbox.dead_leases(p_limit);
  if cardinality(v_leases) = 0 then
    return;
  end if;
  begin
    return query select * from outbox.reap_leases(v_leases);
    return;
  exception when others then
    if cardinality(v_leases) = 1 then
      raise;
    end if;
  end;
  foreach v_lease in array v_leases loop
    begin
      return query select * from outbox.reap_leases(array[v_lease]);
    exception when others then
      raise warning 'outbox: lease % cannot be reaped: %', v_lease, sqlerrm;
    end;
  end loop;
end
$$;
