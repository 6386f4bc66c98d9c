-- outbox.failure_figures() -> the rows of the view failure_groups
--
-- A function, as `queue_figures` is one. Jobs of one lease are of one queue, so one of them is looked up.

drop function if exists outbox.failure_figures cascade;
create function outbox.failure_figures()
returns table (queue text, handler text, class text, status int, error_head text, attempts bigint, jobs bigint,
  first_at timestamptz, last_at timestamptz, sample_job uuid)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set work_mem = '64MB' set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now timestamptz := outbox.clock();
begin
  return query
  with failed as materialized (
    select coalesce(x.lease_id, x.job_id) as batch, x.job_id, x.class, x.status, x.at,
      regexp_replace(left(split_part(x.error, e'\n', 1), 100), '[0-9]+', '#', 'g') as error_head
    from outbox.attempts x
    where x.at >= v_now - interval '24 hours' and x.outcome in ('failed', 'timed_out', 'lost')
    limit 200000
  ), batches as materialized (
    select b.batch, j.queue_id
    from (select f.batch, (array_agg(f.job_id))[1] as job_id from failed f group by f.batch) b
    cross join lateral (select j.queue_id from outbox.jobs j where j.id = b.job_id offset 0) j
  ), each as (
    -- Of one job first, so that jobs need no sorting to be told apart.
    select b.queue_id, f.class, f.status, f.error_head, f.job_id, count(*) as attempts, min(f.at) as first_at,
      max(f.at) as last_at
    from failed f join batches b on b.batch = f.batch
    group by 1, 2, 3, 4, 5
  )
  select q.name, q.handler, e.class, e.status::int, e.error_head, sum(e.attempts)::bigint, count(*), min(e.first_at),
    max(e.last_at), (array_agg(e.job_id order by e.last_at desc))[1]
  from each e join outbox.queues q on q.id = e.queue_id
  group by q.name, q.handler, e.class, e.status, e.error_head;
end
$$;
