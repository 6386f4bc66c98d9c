-- outbox.holder(caller, lease, jobs) -> the worker that has that lease by the caller's key
--
-- With jobs also one that had it and, by the ledger, ended one of them: a settle may be said again. A lease that is
-- over, unknown, or another key's: OX409, the same words for all three.

create or replace function outbox.holder(p_caller outbox.caller, p_lease uuid, p_jobs uuid[] default null)
returns uuid
language plpgsql
set jit = off set enable_seqscan = off
as $$
declare
  v_worker outbox.workers;
begin
  select w.* into v_worker from outbox.leases l join outbox.workers w on w.id = l.worker_id
  where l.id = p_lease and w.key_id = p_caller.key_id;
  if v_worker.id is null and p_jobs is not null then
    select w.* into v_worker from unnest(p_jobs) u(id)
    cross join lateral (select a.worker_id from outbox.attempts a
      where a.job_id = u.id and a.lease_id = p_lease offset 0) a
    join outbox.workers w on w.id = a.worker_id and w.key_id = p_caller.key_id
    limit 1;
  end if;
  if v_worker.id is null then
    perform outbox.refuse(409, 'the lease is over', 'LeaseLost');
  end if;
  return v_worker.id;
end
$$;
