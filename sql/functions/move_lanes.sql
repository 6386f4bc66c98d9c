-- outbox.move_lanes(items, now): what the end or return of a head means for its lane
--
-- Locks the lanes in one order (queue, project, key). Queued again: the lane waits for it. Dead under `block`:
-- the lane stops and says so once. Otherwise the next head is due; none → the lane goes, under its lock, after
-- looking in a statement of its own. The end of one that waited behind the head, or behind a block, is nothing to
-- the lane.

create or replace function outbox.move_lanes(p_items outbox.settling[], p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_lane record;
begin
  perform from outbox.lanes l
  where l.id = any (array(select i.lane from unnest(p_items) i where i.lane < 0))
  order by l.queue_id, l.project_id, l.key for update;
  for v_lane in
    select l.id, l.queue_id, l.project_id, l.key, i.job_id, i.state, i.due_at, i.held, q.on_dead
    from unnest(p_items) i
    cross join lateral (select k.* from outbox.lanes k where k.id = i.lane offset 0) l
    join outbox.queues q on q.id = l.queue_id
    where l.job_id = i.job_id
      or (l.job_id is null and coalesce(l.blocked_by = i.job_id, true) and not exists (
        select from outbox.ready r where r.queue_id = l.queue_id and r.lane = l.id and r.priority = i.priority
          and (r.run_at, r.job_id) < (i.run_at, i.job_id)))
    order by l.queue_id, l.project_id, l.key
  loop
    if v_lane.state = 'queued' then
      update outbox.lanes l set due_at = v_lane.due_at, lease_id = null, job_id = null, held = v_lane.held
      where l.id = v_lane.id;
    elsif v_lane.state = 'failed' and v_lane.on_dead = 'block' then
      update outbox.lanes l set blocked_by = v_lane.job_id, lease_id = null, job_id = null, held = null
      where l.id = v_lane.id;
      perform outbox.tell_blocked(v_lane.queue_id, v_lane.project_id, v_lane.key, v_lane.job_id);
    else
      perform outbox.advance_lane(v_lane.id);
    end if;
  end loop;
end
$$;
