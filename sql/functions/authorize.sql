-- outbox.authorize(key, scope, request) -> the caller behind a key, read where the effect happens
--
-- Revoked, expired, unknown or without the scope: OX403. Used in the same statement as the verb, so a
-- stale cache in front of it cannot widen a right. A key without a team is an operator's: everywhere.

create or replace function outbox.authorize(p_key uuid, p_scope text, p_request text default null)
returns outbox.caller
language plpgsql stable
as $$
declare
  v_key outbox.keys;
begin
  select * into v_key from outbox.keys k
  where k.id = p_key and k.revoked_at is null and (k.expires_at is null or k.expires_at > outbox.clock());
  if v_key.id is null then
    perform outbox.refuse(403, 'Invalid API key or insufficient scope');
  end if;
  if not v_key.scopes && outbox.scope_openers(p_scope) then
    perform outbox.refuse(403, 'Invalid API key or insufficient scope', 'InsufficientScope');
  end if;
  return row(v_key.team_id,
    case when v_key.project_id is not null then array[v_key.project_id] end,
    v_key.team_id is null, v_key.id, v_key.actor, p_request)::outbox.caller;
end
$$;
