-- outbox.hold_session(caller, session) -> its row, locked until this transaction ends; else OX404
--
-- Another tenant's, or older than its project's purge: OX404.

create or replace function outbox.hold_session(p_caller outbox.caller, p_session uuid) returns outbox.sessions
language plpgsql
as $$
declare
  v_session outbox.sessions;
begin
  select * into v_session from outbox.sessions s where s.id = p_session for update;
  if v_session.id is null or outbox.sees(p_caller, v_session.team_id, v_session.project_id) is not true
      or v_session.created_at <= (select p.purged_at from outbox.projects p where p.id = v_session.project_id) then
    perform outbox.refuse(404, 'Session not found');
  end if;
  return v_session;
end
$$;
