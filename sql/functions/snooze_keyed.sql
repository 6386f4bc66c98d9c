-- outbox.snooze_keyed(job, lane, until, held): the keyed half of `snooze`; the lane is locked

create or replace function outbox.snooze_keyed(p_job uuid, p_lane bigint, p_until timestamptz, p_held text) returns void
language plpgsql
as $$
declare
  v_lane outbox.lanes;
  v_head uuid;
begin
  select * into v_lane from outbox.lanes l where l.id = p_lane;
  select r.job_id into v_head from outbox.ready r where r.queue_id = v_lane.queue_id and r.lane = p_lane
  order by r.priority, r.run_at, r.job_id limit 1;
  if v_head = p_job and v_lane.lease_id is null and v_lane.blocked_by is null then
    update outbox.lanes l set due_at = p_until, held = p_held where l.id = p_lane;
    return;
  end if;
  update outbox.ready r set run_at = greatest(r.run_at, p_until + b.n * interval '1 us')
  from (select x.ctid as tid, row_number() over (order by x.run_at, x.job_id) - 1 as n
    from outbox.ready s join outbox.ready x on x.queue_id = s.queue_id and x.lane = s.lane
      and x.priority = s.priority and (x.run_at, x.job_id) >= (s.run_at, s.job_id)
    where s.job_id = p_job and s.lane = p_lane) b
  where r.ctid = b.tid;
  update outbox.lanes l set last_place = greatest(l.last_place, (
    select max(r.run_at) from outbox.ready r where r.queue_id = l.queue_id and r.lane = l.id))
  where l.id = p_lane;
end
$$;
