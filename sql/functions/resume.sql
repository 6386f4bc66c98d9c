-- outbox.resume(caller, queue, project) -> was it paused?
--
-- Workers are woken at the commit. Who may: as pause.

drop function if exists outbox.resume;
create function outbox.resume(p_caller outbox.caller, p_queue text, p_project uuid default null) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project uuid := outbox.pausable_project(v_caller, p_project);
  v_queue outbox.queues := outbox.find_queue(p_queue);
  v_now timestamptz := outbox.clock();
  v_was boolean;
begin
  perform outbox.need_read_committed();
  if v_project is null then
    select q.paused and coalesce(q.paused_until > v_now, true) into v_was
    from outbox.queues q where q.id = v_queue.id for update;
    update outbox.queues q set paused = false, paused_until = null, paused_reason = null, paused_by = null
    where q.id = v_queue.id;
  else
    select s.paused and coalesce(s.paused_until > v_now, true) into v_was
    from outbox.shares s where s.queue_id = v_queue.id and s.project_id = v_project for update;
    update outbox.shares s set paused = false, paused_until = null, paused_reason = null, paused_by = null
    where s.queue_id = v_queue.id and s.project_id = v_project;
  end if;
  perform outbox.wake_queues(array[v_queue.id]);
  perform outbox.audit(v_caller, 'queue.resumed', 'queue', p_queue,
    (select p.team_id from outbox.projects p where p.id = v_project), v_project,
    jsonb_build_object('wasPaused', coalesce(v_was, false)));
  return coalesce(v_was, false);
end
$$;
