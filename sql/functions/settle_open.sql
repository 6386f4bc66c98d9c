-- outbox.settle_open(worker, items) -> the items whose lease holds their job, with where the job stood
--
-- Called with the lease rows locked, in a statement of its own, so that what it reads is what is locked. One
-- item a job: of two about the same job in one call the first counts.

create or replace function outbox.settle_open(p_worker uuid, p_items outbox.settling[]) returns outbox.settling[]
language plpgsql
as $$
begin
  return array(
    select distinct on (l.id, i.job_id) row(i.ord, l.id, p_worker, i.job_id, l.queue_id, l.lanes[l.at],
      l.priorities[l.at], l.run_ats[l.at], l.nos[l.at], l.attempts[l.at], l.series[l.at], l.claimed_at, i.outcome,
      i.ms, i.class, i.status, i.error, i.output, i.detail, i.retry_in, i.final, i.held, i.actor, i.key_id, null,
      null)::outbox.settling
    from unnest(p_items) i
    cross join lateral (
      select l.*, array_position(l.job_ids, i.job_id) as at
      from outbox.leases l where l.id = i.lease_id and l.worker_id = p_worker) l
    where l.at is not null
    order by l.id, i.job_id, i.ord);
end
$$;
