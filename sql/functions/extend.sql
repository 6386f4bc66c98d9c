-- outbox.extend(worker, lease, for, jobs) -> the new deadline; OX409 when the lease is over
--
-- Moves the time limit of the lease to now + for, 1 s to 24 h. With jobs: all of them must still be in it.

drop function if exists outbox.extend;
create function outbox.extend(p_worker uuid, p_lease uuid, p_for interval, p_jobs uuid[] default null)
returns timestamptz
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off
as $$
declare
  v_until timestamptz := outbox.clock() + p_for;
  v_moved timestamptz;
begin
  perform outbox.need_read_committed();
  if session_user <> current_user then
    p_worker := outbox.mine(p_worker);
  end if;
  if p_for is null or p_for not between interval '1 s' and interval '24 h' then
    perform outbox.refuse(400, 'p_for: 1 s to 24 h');
  end if;
  update outbox.leases l set
    -- Others may share the lease: a short time for one job takes none from them. Who does not beat has it alone.
    deadline_at = case when exists (select from outbox.workers w where w.id = l.worker_id and not w.beats)
      then v_until else greatest(l.deadline_at, v_until) end
  where l.id = p_lease and l.worker_id = p_worker and (p_jobs is null or p_jobs <@ l.job_ids)
  returning l.deadline_at into v_moved;
  if v_moved is null then
    perform outbox.refuse(409, 'the lease is over', 'LeaseLost');
  end if;
  perform outbox.heard(p_worker);
  return v_moved;
end
$$;
