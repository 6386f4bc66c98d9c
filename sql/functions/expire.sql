-- outbox.expire(limit) -> how many jobs were ended that nobody may start any more
--
-- By `expiries` those with an end of their own, by age all others: an id older than hold_days has no deadline
-- left, since whatever was given a later one stands in `expiries`. Whatever the queue does, also paused. Lanes
-- are locked first, in one order. One that cannot be ended does not stop the others: it is tried again in a minute.

drop function if exists outbox.expire;
create function outbox.expire(p_limit int default 1000) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_due tid[];
  v_jobs uuid[];
  v_lanes bigint[];
  v_ended int;
begin
  perform outbox.need_read_committed();
  select array_agg(d.ctid), coalesce(array_agg(d.job_id), '{}') into v_due, v_jobs
  from (select x.ctid, x.job_id from outbox.expiries x where x.at <= v_now
    order by x.at, x.job_id limit p_limit for update skip locked) d;
  v_jobs := v_jobs || outbox.outlived(p_limit, v_now);
  if cardinality(v_jobs) = 0 then
    return 0;
  end if;
  v_lanes := outbox.lanes_of(v_jobs);
  perform from outbox.lanes l where l.id = any (v_lanes) order by l.queue_id, l.project_id, l.key for update;
  v_ended := outbox.end_each(v_jobs, v_now);
  -- Last: `place` and `settle` put the same rows there while they hold a lane or a lease.
  delete from outbox.expiries e where e.ctid = any (v_due);
  return v_ended;
end
$$;
