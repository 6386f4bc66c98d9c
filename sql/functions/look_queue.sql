-- outbox.look_queue(queue, after lane, limit, now, projects) -> its spots: lane 0 first, then share by share
--
-- projects: of those only; null: of all.

drop function if exists outbox.look_queue;
create function outbox.look_queue(
  p_queue outbox.queues, p_after bigint, p_limit int, p_now timestamptz, p_projects uuid[] default null
) returns setof outbox.spot
language plpgsql
as $$
declare
  v_paused uuid[] := outbox.paused_shares(p_queue.id, p_now);
  v_lane bigint := coalesce(p_after, 0);
  v_left int := p_limit;
  v_spot outbox.spot;
  v_due timestamptz;
  v_weight int;
begin
  if p_projects is not null then
    return query select * from outbox.look_projects(p_queue, p_projects, p_after, p_limit, p_now);
    return;
  end if;
  if p_after is null then
    select l.due_at into v_due from outbox.lanes l
    where l.queue_id = p_queue.id and l.lease_id is null and l.blocked_by is null
      and not l.project_id = any (v_paused)
    order by l.due_at limit 1;
    if v_due <= p_now then
      return next row(p_queue.id, 0, 0, v_due, 1)::outbox.spot;
      v_left := v_left - 1;
    end if;
  end if;
  while v_left > 0 loop
    select r.queue_id, r.lane, r.priority, r.run_at, 1 into v_spot
    from outbox.ready r where r.queue_id = p_queue.id and r.lane > v_lane
    order by r.lane, r.priority, r.run_at limit 1;
    exit when v_spot.lane is null;
    v_lane := v_spot.lane;
    continue when v_spot.run_at > p_now;
    select s.weight into v_weight from outbox.projects p
    join outbox.shares s on s.queue_id = p_queue.id and s.project_id = p.id
    where p.number = v_lane and (cardinality(v_paused) = 0 or not p.id = any (v_paused));
    continue when v_weight is null and exists (
      select from outbox.projects p where p.number = v_lane and p.id = any (v_paused));
    v_spot.want := coalesce(v_weight, 1);
    return next v_spot;
    v_left := v_left - 1;
  end loop;
end
$$;
