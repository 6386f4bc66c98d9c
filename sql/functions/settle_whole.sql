-- outbox.settle_whole(worker, items, now) -> the leases that complete as a whole, settled: the fast path
--
-- The usual case: every job of a lease completed in one flush. The fence is exact membership, re-read in the
-- locked row if somebody held it. Keyed leases take the general path, since their lanes have to move on.

create or replace function outbox.settle_whole(p_worker uuid, p_items outbox.settling[], p_now timestamptz)
returns uuid[]
language plpgsql
as $$
declare
  v_leases uuid[];
  v_jobs uuid[];
begin
  with whole as materialized (
    select i.lease_id, array_agg(i.job_id) as jobs, array_agg(i.ms) as ms, array_agg(i.class) as class,
      array_agg(i.status) as status,
      array_agg(i.output) as output, array_agg(i.detail) as detail
    from (select o.* from unnest(p_items) o order by o.lease_id, o.job_id) i
    group by i.lease_id having bool_and(i.outcome = 'completed')
  ), gone as (
    delete from outbox.leases l using whole w
    where l.id = any (array(select x.lease_id from whole x)) and l.id = w.lease_id and l.worker_id = p_worker
      and l.job_ids = w.jobs and 0 < all (l.lanes)
    returning l.*, w.ms, w.class, w.status, w.output, w.detail
  ), written as (
    -- The arrays run in parallel: equal job_ids stand in equal order.
    insert into outbox.attempts (job_id, no, attempt, series, outcome, lease_id, worker_id, started_at, at, ms,
      waited_ms, class, status, output, detail)
    select m.job, m.no, m.attempt, m.series, 'completed', g.id, p_worker, g.claimed_at, p_now, m.ms,
      extract(epoch from g.claimed_at - m.run_at) * 1000, m.class, m.status, m.output, m.detail
    from gone g
    cross join lateral unnest(g.job_ids, g.nos, g.attempts, g.series, g.run_ats, g.ms, g.class, g.status, g.output, g.detail)
      m(job, no, attempt, series, run_at, ms, class, status, output, detail)
    returning attempts.job_id, attempts.lease_id
  )
  select array_agg(distinct w.lease_id), array_agg(w.job_id) into v_leases, v_jobs from written w;
  if v_jobs is not null then
    perform outbox.clear_job(v_jobs);
  end if;
  return coalesce(v_leases, '{}');
end
$$;
