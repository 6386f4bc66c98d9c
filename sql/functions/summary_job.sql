-- outbox.summary_job(caller, session, project, moved) -> the job that will summarise the session; null: it is off
--
-- That of the last end, if it still waits or there is nothing new for another one; else a new one, due when the
-- session has been quiet for a while.

drop function if exists outbox.summary_job;
create function outbox.summary_job(
  p_caller outbox.caller, p_session outbox.sessions, p_project outbox.projects, p_moved boolean
) returns uuid
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_quiet int := coalesce(outbox.project_setting(p_project, 'summary.quietSeconds')::int, 30);
  v_state text := (select s.state from outbox.job_state(p_session.summary_job) s);
  v_job outbox.jobs;
begin
  if not coalesce(outbox.project_setting(p_project, 'summary.enabled')::boolean, true) then
    return null;
  elsif v_state = 'queued' or (v_state in ('processing', 'completed') and not p_moved) then
    return p_session.summary_job;
  end if;
  v_job.id := outbox.uuid7(v_now);
  v_job.team_id := p_session.team_id;
  v_job.project_id := p_session.project_id;
  v_job.session_id := p_session.id;
  v_job.queue_id := outbox.open_queue('summarize', 'summarize');
  v_job.priority := 0;
  v_job.watched := false;
  v_job.max_attempts := outbox.setting('generation_attempts', '8')::int;
  v_job.run_at := v_now + make_interval(secs => v_quiet);
  v_job.key_id := p_caller.key_id;
  v_job.actor := p_caller.actor;
  v_job.request_id := p_caller.request_id;
  insert into outbox.jobs select v_job.*;
  if v_quiet = 0 then
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    values (v_job.queue_id, p_project.number, 0, v_job.run_at, v_job.id, 0, 0, 0);
  else
    insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    values (v_job.queue_id, p_project.number, 0, v_job.run_at, v_job.id, 0, 0, 0);
  end if;
  return v_job.id;
end
$$;
