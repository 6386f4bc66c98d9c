-- outbox.find_key(caller, key) -> a key the caller may change, locked; else OX404
--
-- A key whose right to mint is restricted changes what it minted, and itself.

create or replace function outbox.find_key(p_caller outbox.caller, p_key uuid) returns outbox.keys
language plpgsql
as $$
declare
  v_key outbox.keys;
begin
  select * into v_key from outbox.keys k where k.id = p_key for update;
  if v_key.id is null or outbox.sees(p_caller, v_key.team_id, v_key.project_id) is not true
      or not outbox.minds_key(p_caller, v_key) then
    perform outbox.refuse(404, 'Key not found');
  end if;
  return v_key;
end
$$;
