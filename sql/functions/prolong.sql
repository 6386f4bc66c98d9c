-- outbox.prolong(caller, lease, for, jobs) -> (until, cancelled): `extend` for a worker with a key
--
-- cancelled: which jobs of the lease (of those named) somebody has cancelled; the others named must still be in it.

drop function if exists outbox.prolong;
create function outbox.prolong(p_caller outbox.caller, p_lease uuid, p_for interval, p_jobs uuid[] default null)
returns table (until timestamptz, cancelled uuid[])
language plpgsql
set jit = off set enable_seqscan = off
as $$
declare
  v_worker uuid := outbox.holder(p_caller, p_lease);
begin
  cancelled := array(
    select u.id from unnest(coalesce(p_jobs, (select w.cancelled from outbox.workers w where w.id = v_worker))) u(id)
    cross join lateral (select from outbox.attempts a
      where a.job_id = u.id and a.lease_id = p_lease and a.outcome = 'cancelled' offset 0) a);
  until := outbox.extend(v_worker, p_lease, p_for, array(select u from unnest(p_jobs) u where not u = any (cancelled)));
  return next;
end
$$;
