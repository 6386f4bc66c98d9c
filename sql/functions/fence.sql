-- outbox.fence(worker, lease, job) -> does that lease of that worker still hold the job? Locks the lease row
--
-- The first statement of a transaction in which a handler's writes are made: fence, write, settle, commit. The
-- lane of a keyed job is touched only by the settle at the end, so nobody waits for it meanwhile.

create or replace function outbox.fence(p_worker uuid, p_lease uuid, p_job uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off
as $$
declare
  v_jobs uuid[];
begin
  select l.job_ids into v_jobs from outbox.leases l
  where l.id = p_lease and l.worker_id = p_worker for update;
  return coalesce(p_job = any (v_jobs), false);
end
$$;
