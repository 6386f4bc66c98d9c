-- outbox.audit_session(caller, session, action, reason): what somebody did to a session

create or replace function outbox.audit_session(
  p_caller outbox.caller, p_session outbox.sessions, p_action text, p_reason text default null
) returns void
language plpgsql
as $$
begin
  perform outbox.audit(p_caller, p_action, 'server_session', p_session.id::text, p_session.team_id,
    p_session.project_id, jsonb_build_object('endCount', nullif(p_session.end_count, 0), 'reason', p_reason));
end
$$;
