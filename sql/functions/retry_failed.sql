-- outbox.retry_failed(caller, jobs, rate, from, now, reason) -> how many of them left the dead letters
--
-- The n-th one is due at now + (from + n) / rate; rate 0: all at once. A keyed one goes to its old place, so it
-- runs before what waits and after what has run; the n-th due time is its lane's if it heads it.

create or replace function outbox.retry_failed(
  p_caller outbox.caller, p_jobs uuid[], p_rate numeric, p_from int, p_now timestamptz, p_reason text
) returns int
language plpgsql
as $$
declare
  v_items outbox.settling[] := outbox.take_dead(p_jobs, outbox.lock_lanes(p_jobs));
begin
  v_items := outbox.restart(p_caller, v_items, p_rate, p_from, p_now, p_reason);
  insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
  select i.queue_id, i.lane, 0, i.run_at, i.job_id, 0, i.no, i.series + 1 from unnest(v_items) i where i.lane < 0;
  perform outbox.head_lanes(v_items);
  return cardinality(v_items);
end
$$;
