-- outbox.take_running(jobs) -> those in leases; lease, lane and worker row are locked, or the job is left out

create or replace function outbox.take_running(p_jobs uuid[]) returns outbox.settling[]
language plpgsql
as $$
declare
  v_leases uuid[] := array(select l.id from outbox.leases l where l.job_ids && p_jobs
    order by l.id for update skip locked);
  v_lanes bigint[] := outbox.lock_lanes(p_jobs);
  v_workers uuid[] := array(select w.id from outbox.workers w
    where w.id = any (array(select l.worker_id from outbox.leases l where l.id = any (v_leases)))
    order by w.id for update skip locked);
begin
  return array(
    select row(i.ord, i.lease_id, i.worker_id, i.job_id, i.queue_id, i.lane, i.priority, i.run_at, i.no, i.attempt,
      i.series, i.started_at, null, null, null, null, null, null, null, null, true, null, null, null, 'processing',
      null)::outbox.settling
    from unnest(v_leases) x(id)
    cross join lateral unnest(outbox.lease_items(x.id, p_jobs, null, null)) i
    where (i.lane > 0 or i.lane = any (v_lanes))
      and (i.worker_id = any (v_workers) or not exists (select from outbox.workers w where w.id = i.worker_id)));
end
$$;
