-- outbox.close_leases(items): takes the jobs out of their leases; a lease goes with its last job

create or replace function outbox.close_leases(p_items outbox.settling[]) returns void
language plpgsql
as $$
declare
  v_leases uuid[] := array(select distinct i.lease_id from unnest(p_items) i where i.lease_id is not null);
  v_jobs uuid[] := array(select i.job_id from unnest(p_items) i);
begin
  delete from outbox.leases l where l.id = any (v_leases) and l.job_ids <@ v_jobs;
  update outbox.leases l set job_ids = k.job_ids, nos = k.nos, attempts = k.attempts, series = k.series,
    run_ats = k.run_ats, lanes = k.lanes, priorities = k.priorities
  from unnest(v_leases) x(id)
  cross join lateral (
    select array_agg(m.job order by m.job) as job_ids, array_agg(m.no order by m.job) as nos,
      array_agg(m.attempt order by m.job) as attempts, array_agg(m.series order by m.job) as series,
      array_agg(m.run_at order by m.job) as run_ats, array_agg(m.lane order by m.job) as lanes,
      array_agg(m.priority order by m.job) as priorities
    from outbox.leases s
    cross join lateral unnest(s.job_ids, s.nos, s.attempts, s.series, s.run_ats, s.lanes, s.priorities)
      m(job, no, attempt, series, run_at, lane, priority)
    where s.id = x.id and not m.job = any (v_jobs)) k
  where l.id = x.id;
end
$$;
