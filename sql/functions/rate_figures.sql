-- outbox.rate_figures() -> the rows of the view throughput
--
-- A function, as `queue_figures` is one. Jobs of one lease are of one queue, so one of them is looked up. Only where the
-- hour has more rows than may be read are they put in order, to find where reading begins.

drop function if exists outbox.rate_figures cascade;
create function outbox.rate_figures()
returns table (minute timestamptz, queue text, handler text, completed bigint, failed bigint, lost bigint, wait_p50_ms int,
  wait_p95_ms int, run_p50_ms int, run_p95_ms int, complete boolean)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set work_mem = '64MB' set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_most constant int := 500000;
  v_now timestamptz := outbox.clock();
  v_from timestamptz := v_now - interval '60 min';
begin
  if (select count(*) from (select from outbox.attempts a where a.at >= v_from limit v_most + 1) x) > v_most then
    select a.at into v_from from outbox.attempts a where a.at >= v_from order by a.at desc offset v_most - 1 limit 1;
  end if;
  return query
  with ledger as materialized (
    select coalesce(a.lease_id, a.job_id) as batch, a.job_id, a.outcome, a.at, a.ms, a.waited_ms
    from outbox.attempts a
    where a.at >= v_from and a.outcome in ('completed', 'failed', 'timed_out', 'lost')
  ), batches as materialized (
    select b.batch, j.queue_id
    from (select l.batch, (array_agg(l.job_id))[1] as job_id from ledger l group by l.batch) b
    cross join lateral (select j.queue_id from outbox.jobs j where j.id = b.job_id offset 0) j
  ), counted as (
    select date_bin('1 min', l.at, 'epoch') as minute, b.queue_id,
      count(*) filter (where l.outcome = 'completed') as completed,
      count(*) filter (where l.outcome in ('failed', 'timed_out')) as failed,
      count(*) filter (where l.outcome = 'lost') as lost,
      percentile_disc('{0.5,0.95}'::float8[]) within group (order by l.waited_ms) as wait,
      percentile_disc('{0.5,0.95}'::float8[]) within group (order by l.ms) as run
    from ledger l join batches b on b.batch = l.batch
    group by 1, 2
  )
  select t.minute, q.name, q.handler, t.completed, t.failed, t.lost, t.wait[1], t.wait[2], t.run[1], t.run[2],
    t.minute >= v_from and t.minute < date_trunc('minute', v_now)
  from counted t
  join outbox.queues q on q.id = t.queue_id;
end
$$;
