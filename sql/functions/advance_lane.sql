-- outbox.advance_lane(lane): the next head is due at its place; a lane without one goes. Its row is locked by us

create or replace function outbox.advance_lane(p_lane bigint) returns void
language plpgsql
as $$
declare
  v_queue int := (select l.queue_id from outbox.lanes l where l.id = p_lane);
  v_next timestamptz;
begin
  select r.run_at into v_next from outbox.ready r
  where r.queue_id = v_queue and r.lane = p_lane order by r.priority, r.run_at, r.job_id limit 1;
  if v_next is null then
    delete from outbox.lanes l where l.id = p_lane;
  else
    update outbox.lanes l set due_at = v_next, lease_id = null, job_id = null, held = null, blocked_by = null
    where l.id = p_lane;
  end if;
end
$$;
