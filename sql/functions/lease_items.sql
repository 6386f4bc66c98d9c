-- outbox.lease_items(lease, jobs, outcome, class) -> its open jobs (of those named, null: all), with that outcome

create or replace function outbox.lease_items(p_lease uuid, p_jobs uuid[], p_outcome text, p_class text)
returns outbox.settling[]
language plpgsql
as $$
begin
  return array(
    select row(m.n, l.id, l.worker_id, m.job, l.queue_id, m.lane, m.priority, m.run_at, m.no, m.attempt, m.series,
      l.claimed_at, p_outcome, null, p_class, null, null, null, null, null, false, null, null, null, null, null
      )::outbox.settling
    from outbox.leases l
    cross join lateral unnest(l.job_ids, l.nos, l.attempts, l.series, l.run_ats, l.lanes, l.priorities)
      with ordinality m(job, no, attempt, series, run_at, lane, priority, n)
    where l.id = p_lease and (p_jobs is null or m.job = any (p_jobs))
    order by m.n);
end
$$;
