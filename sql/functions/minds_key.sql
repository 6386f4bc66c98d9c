-- outbox.minds_key(caller, key) -> is that key one of those that the caller's key may deal with?

create or replace function outbox.minds_key(p_caller outbox.caller, p_key outbox.keys) returns boolean
language sql stable
as $$
  select (p_caller).key_id is null or (p_key).id = (p_caller).key_id or (p_key).created_by = (p_caller).key_id
    or not outbox.mints_readers((select k.scopes from outbox.keys k where k.id = (p_caller).key_id))
$$;
