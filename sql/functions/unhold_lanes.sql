-- outbox.unhold_lanes(caller, held, project, limit, now) -> the queue of each lane that is due now

create or replace function outbox.unhold_lanes(
  p_caller outbox.caller, p_held text, p_project uuid, p_limit int, p_now timestamptz
) returns int[]
language plpgsql
as $$
declare
  v_queues int[];
begin
  with due as (
    update outbox.lanes u set due_at = least(u.due_at, p_now), held = null
    where u.ctid = any (array(
      select l.ctid from outbox.lanes l
      where l.held = p_held and l.lease_id is null and (p_project is null or l.project_id = p_project)
        and exists (select from outbox.projects p where p.id = l.project_id
          and outbox.sees(p_caller, p.team_id, p.id))
      limit p_limit for update skip locked))
    returning u.queue_id
  )
  select array_agg(d.queue_id) into v_queues from due d;
  return coalesce(v_queues, '{}');
end
$$;
