-- outbox.close_console(caller, hash) -> was it open? Signing out

create or replace function outbox.close_console(p_caller outbox.caller, p_hash bytea) returns boolean
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
begin
  delete from outbox.console_sessions s where s.hash = p_hash and s.key_id = v_caller.key_id;
  if not found then
    return false;
  end if;
  perform outbox.audit(v_caller, 'console.closed', 'api_key', v_caller.key_id::text, v_caller.team_id,
    v_caller.project_ids[1]);
  return true;
end
$$;
