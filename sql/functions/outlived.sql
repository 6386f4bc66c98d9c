-- outbox.outlived(limit, now) -> jobs that wait in `ready` or `later` and are older than hold_days
--
-- Ids are in the order of their making. Those with a later deadline of their own are left out; there can be only
-- as many as jobs were delayed, and they leave as their time comes.

create or replace function outbox.outlived(p_limit int, p_now timestamptz) returns uuid[]
language plpgsql
as $$
declare
  v_hold interval := outbox.hold();
  v_before uuid := outbox.uuid7_floor(p_now - outbox.hold());
begin
  return array(
    select w.job_id
    from (select r.job_id from outbox.ready r where r.job_id < v_before
      union all select l.job_id from outbox.later l where l.job_id < v_before) w
    cross join lateral (select coalesce(j.deadline, outbox.uuid7_time(j.id) + v_hold) as deadline
      from outbox.jobs j where j.id = w.job_id offset 0) j
    where j.deadline <= p_now
    order by w.job_id limit p_limit);
end
$$;
