-- outbox.settle_refused(worker, items, accepted ords) -> what to say of the items that were not accepted
--
-- Said before, with the same outcome under the same lease: accepted, note `repeated`. Else lease_over, or
-- not_in_lease while the lease still holds other jobs.

create or replace function outbox.settle_refused(p_worker uuid, p_items outbox.settling[], p_accepted int[])
returns table (ord int, job_id uuid, lease_id uuid, accepted boolean, state text, due_at timestamptz, note text)
language plpgsql
as $$
begin
  return query
  select i.ord, i.job_id, i.lease_id, r.again, null::text, null::timestamptz, case
    when r.again then 'repeated'
    when exists (select from outbox.leases l where l.id = i.lease_id and l.worker_id = p_worker) then 'not_in_lease'
    else 'lease_over' end
  from unnest(p_items) i
  cross join lateral (select exists (
    select from outbox.attempts a where a.job_id = i.job_id and a.lease_id = i.lease_id
      and a.worker_id = p_worker and a.outcome = i.outcome offset 0) as again) r
  where not i.ord = any (p_accepted);
end
$$;
