-- outbox.admit(caller) -> the caller, if this session may speak for it; else OX403, null: OX400
--
-- The first line of every granted verb. The daemon's login speaks for the keys that it checked; any other
-- login only for what outbox.me() gives it, so nobody widens a right by making up a caller.

create or replace function outbox.admit(p_caller outbox.caller) returns outbox.caller
language plpgsql stable
as $$
declare
  v_me outbox.caller;
begin
  if p_caller is null or (p_caller.team_id is null and p_caller.project_ids is null
                          and p_caller.everywhere is not true) then
    perform outbox.refuse(400, 'a caller is required: pass outbox.me()');
  end if;
  if outbox.is_daemon() then
    return p_caller;
  end if;
  v_me := outbox.me();
  if v_me.everywhere or (p_caller.everywhere is not true and p_caller.project_ids <@ v_me.project_ids) then
    p_caller.actor := v_me.actor;
    p_caller.key_id := null;
    return p_caller;
  end if;
  perform outbox.refuse(403, 'this role may not act outside its projects');
end
$$;
