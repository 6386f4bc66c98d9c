-- outbox.close_session(caller, session, reason) -> (job_id, ended): the end of a session that the caller holds
--
-- Open, or with events since its last end: it ends now, once more, with a summary job in the same transaction.
-- A job of an earlier end that still waits is kept, as it will read these events too; so is one that has nothing
-- new to read. Otherwise nothing is written. The job is only looked at, never locked: whoever settles it holds it
-- first and the session second, and what was committed before this look is read by any claim after it.

drop function if exists outbox.close_session;
create function outbox.close_session(p_caller outbox.caller, p_session outbox.sessions, p_reason text default null)
returns table (job_id uuid, ended boolean)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_session outbox.sessions := p_session;
  v_project outbox.projects := (select p from outbox.projects p where p.id = p_session.project_id);
  v_seen record;
  v_moved boolean;
begin
  select * into v_seen from outbox.session_events(p_session.id);
  v_moved := outbox.session_moved(p_session, v_seen.events, v_seen.newest);
  if p_session.ended_at is not null and not v_moved then
    return query select p_session.summary_job, false;
    return;
  end if;
  v_session.ended_at := v_now;
  v_session.end_count := p_session.end_count + 1;
  job_id := outbox.summary_job(p_caller, v_session, v_project, v_moved);
  update outbox.sessions s set ended_at = v_now, end_count = v_session.end_count, updated_at = v_now,
    ended_events = v_seen.events, ended_event = v_seen.newest, summary_job = coalesce(job_id, s.summary_job),
    -- Known by its agent alone: the next start of that agent is another session.
    identity = case when s.external_id is not null or s.content_session_id is not null then s.identity end
  where s.id = p_session.id;
  perform outbox.audit_session(p_caller, v_session, 'session.end', p_reason);
  perform outbox.hasten_gathering(p_session.id);
  perform outbox.wake_gated('{observe,summarize}');
  ended := true;
  return next;
end
$$;
