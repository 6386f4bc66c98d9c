-- outbox.mints_readers(scopes) -> is what those scopes may do with keys restricted? They mint keys that only read
--
-- `memories:write` opens `keys:write` so far, for the hooks of agents (http-api.md §1.4).

create or replace function outbox.mints_readers(p_scopes text[]) returns boolean
language sql immutable parallel safe
as $$
  select not p_scopes && array_remove(outbox.scope_openers('keys:write'), 'memories:write')
$$;
