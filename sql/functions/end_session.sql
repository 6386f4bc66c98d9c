-- outbox.end_session(caller, session, reason) -> (job_id, ended): its summary job (null: summaries are off), and
-- whether this call ended it
--
-- Again with nothing new since: the same job, no writes. With new events: the end moves and the summary is renewed.
-- Errors: OX404, OX409 (archived project).

drop function if exists outbox.end_session;
create function outbox.end_session(p_caller outbox.caller, p_session uuid, p_reason text default null)
returns table (job_id uuid, ended boolean)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_session outbox.sessions;
begin
  perform outbox.need_read_committed();
  perform outbox.need_reason(p_reason);
  v_session := outbox.hold_session(v_caller, p_session);
  perform outbox.caller_project(v_caller, v_session.project_id);
  return query select * from outbox.close_session(v_caller, v_session, p_reason);
end
$$;
