-- outbox.remove_handler(caller, name) -> was it declared? No new route may name it; jobs it owes are still run

drop function if exists outbox.remove_handler;
create function outbox.remove_handler(p_caller outbox.caller, p_name text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
begin
  perform outbox.need_operator(v_caller);
  delete from outbox.handlers h where h.name = p_name;
  if not found then
    return false;
  end if;
  perform outbox.audit(v_caller, 'handler.removed', 'handler', p_name, null, null, '{}');
  return true;
end
$$;
