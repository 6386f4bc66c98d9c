-- outbox.enqueue(caller, queue, payload, project, options) -> (job_id, duplicate): a job without an event
--
-- Options: handler, priority, runAt, maxAttempts, timeoutMs, deadline, expiresAt, uniqueKey, uniqueUntil
-- (ended | started), onDuplicate (keep), traceparent, watched; times ISO 8601. Waits for nobody but an open
-- transaction with the same unique key. Errors: OX400, OX403, OX404, OX409, OX413.

drop function if exists outbox.enqueue;
create function outbox.enqueue(
  p_caller outbox.caller, p_queue text, p_payload jsonb default '{}', p_project uuid default null,
  p_options jsonb default '{}'
) returns table (job_id uuid, duplicate boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_project outbox.projects := outbox.caller_project(v_caller, p_project);
  v_job outbox.jobs;
  v_holder uuid;
begin
  v_job := outbox.job_of(p_payload, p_options, v_now);
  v_job.queue_id := outbox.open_queue(p_queue, p_options ->> 'handler', v_project.team_id);
  v_job.team_id := v_project.team_id;
  v_job.project_id := v_project.id;
  v_job.key_id := v_caller.key_id;
  v_job.actor := v_caller.actor;
  v_job.request_id := v_caller.request_id;

  if v_job.unique_key is not null then
    v_holder := outbox.claim_job_key(v_job);
    if v_holder <> v_job.id then
      return query select v_holder, true;
      return;
    end if;
  end if;
  insert into outbox.jobs select v_job.*;
  if coalesce(v_job.run_at, v_now) <= v_now then
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    values (v_job.queue_id, v_project.number, -v_job.priority, v_now, v_job.id, 0, 0, 0);
  else
    insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    values (v_job.queue_id, v_project.number, -v_job.priority, v_job.run_at, v_job.id, 0, 0, 0);
  end if;
  insert into outbox.expiries (at, job_id)
  select least(v_job.expires_at, v_job.deadline), v_job.id
  where v_job.expires_at is not null or v_job.deadline is not null;
  perform outbox.wake_gated(array(select q.handler from outbox.queues q where q.id = v_job.queue_id));
  return query select v_job.id, false;
end
$$;
