-- outbox.hasten(jobs, rate, from, now) -> how many of these queued jobs are due now (or by the rate), holds lifted
--
-- A keyed one keeps its order: heading a free lane, the lane is due; behind others, a place in the future moves to
-- just behind the one before it.

create or replace function outbox.hasten(p_jobs uuid[], p_rate numeric, p_from int, p_now timestamptz) returns int
language plpgsql
as $$
declare
  v_lanes bigint[] := outbox.lock_lanes(p_jobs);
  v_found int;
begin
  with found as (
    select w.ctid as tid, w.job_id from outbox.later w where w.job_id = any (p_jobs) for update skip locked
  ), moved as (
    delete from outbox.later d where d.ctid = any (array(select f.tid from found f)) returning d.*
  ), due as (
    select m.*, p_now + make_interval(secs => case when p_rate = 0 then 0
      else (p_from + row_number() over (order by m.job_id) - 1) / p_rate end::float8) as due from moved m
  ), soon as (
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select d.queue_id, d.lane, d.priority, d.due, d.job_id, d.attempt, d.no, d.series from due d where d.due <= p_now
  ), staggered as (
    insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select d.queue_id, d.lane, d.priority, d.due, d.job_id, d.attempt, d.no, d.series from due d where d.due > p_now
  )
  select count(*) into v_found from due d where d.due > p_now;
  perform outbox.hasten_lanes(p_jobs, v_lanes, p_now);
  return v_found + (select count(*) from outbox.ready r
    where r.job_id = any (p_jobs) and (r.lane > 0 or r.lane = any (v_lanes)));
end
$$;
