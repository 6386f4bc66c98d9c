-- outbox.payload(worker, lease, job) -> the job's payload, of any size; OX409 when the lease is over

create or replace function outbox.payload(p_worker uuid, p_lease uuid, p_job uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off
as $$
begin
  if session_user <> current_user then
    p_worker := outbox.mine(p_worker);
  end if;
  if not exists (select from outbox.leases l
      where l.id = p_lease and l.worker_id = p_worker and p_job = any (l.job_ids)) then
    perform outbox.refuse(409, 'the lease is over', 'LeaseLost');
  end if;
  return (select coalesce(j.payload, (select e.payload from outbox.events e where e.id = j.event_id))
    from outbox.jobs j where j.id = p_job);
end
$$;
