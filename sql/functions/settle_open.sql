-- outbox.settle_open(worker, items) -> the items whose lease holds their job, with where the job stood
--
-- Called with the lease rows locked, in a statement of its own, so that what it reads is what is locked. One
-- item a job: of two about the same job in one call the first counts.

create or replace function outbox.settle_open(p_worker uuid, p_items outbox.settling[]) returns outbox.settling[]
language plpgsql
set enable_seqscan = off
as $$
begin
  return array(
    select distinct on (l.id, m.job) row(i.ord, l.id, p_worker, m.job, l.queue_id, m.lane, m.priority, m.run_at,
      m.no, m.attempt, m.series, l.claimed_at, i.outcome, i.ms, i.class, i.status, i.error, i.output, i.detail,
      i.retry_in, i.final, i.held, i.actor, i.key_id, null, null)::outbox.settling
    from unnest(p_items) i
    cross join lateral (select l.* from outbox.leases l where l.id = i.lease_id and l.worker_id = p_worker) l
    cross join lateral unnest(l.job_ids, l.nos, l.attempts, l.series, l.run_ats, l.lanes, l.priorities)
      m(job, no, attempt, series, run_at, lane, priority)
    where m.job = i.job_id
    order by l.id, m.job, i.ord);
end
$$;
