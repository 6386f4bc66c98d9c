-- outbox.pause(caller, queue, project, until, reason) -> until when; null: until somebody resumes it
--
-- No claim that begins after this commit takes a job of the queue, or of the project's share of it. What runs
-- goes on, publishing too. The whole queue: operators only, OX403.

drop function if exists outbox.pause;
create function outbox.pause(
  p_caller outbox.caller, p_queue text, p_project uuid default null, p_until timestamptz default null,
  p_reason text default null
) returns timestamptz
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project uuid := outbox.pausable_project(v_caller, p_project);
  v_queue outbox.queues := outbox.find_queue(p_queue);
begin
  perform outbox.need_read_committed();
  perform outbox.need_reason(p_reason);
  if p_until <= outbox.clock() then
    perform outbox.refuse(400, 'p_until: later than now');
  end if;
  if v_project is null then
    update outbox.queues q set paused = true, paused_until = p_until, paused_reason = p_reason,
      paused_by = v_caller.actor
    where q.id = v_queue.id;
  else
    insert into outbox.shares as s (queue_id, project_id, paused, paused_until, paused_reason, paused_by)
    values (v_queue.id, v_project, true, p_until, p_reason, v_caller.actor)
    on conflict (queue_id, project_id) do update set paused = true, paused_until = p_until,
      paused_reason = p_reason, paused_by = v_caller.actor;
  end if;
  perform outbox.audit(v_caller, 'queue.paused', 'queue', p_queue,
    (select p.team_id from outbox.projects p where p.id = v_project), v_project,
    jsonb_build_object('until', p_until, 'reason', p_reason));
  return p_until;
end
$$;
