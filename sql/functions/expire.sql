-- outbox.expire(limit) -> how many jobs were ended that nobody may start any more
--
-- By `expiries` those with an end of their own, by age all others: an id older than hold_days has no deadline
-- left, since whatever was given a later one stands in `expiries`. Whatever the queue does, also paused.

drop function if exists outbox.expire;
create function outbox.expire(p_limit int default 1000) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_jobs uuid[];
  v_job uuid;
  v_ended int := 0;
begin
  perform outbox.need_read_committed();
  with due as (
    delete from outbox.expiries e where e.ctid = any (array(
      select x.ctid from outbox.expiries x where x.at <= v_now
      order by x.at, x.job_id limit p_limit for update skip locked))
    returning e.job_id
  )
  select coalesce(array_agg(d.job_id), '{}') into v_jobs from due d;
  v_jobs := v_jobs || outbox.outlived(p_limit, v_now);
  foreach v_job in array v_jobs loop
    v_ended := v_ended + outbox.end_over(v_job, v_now);
  end loop;
  return v_ended;
end
$$;
