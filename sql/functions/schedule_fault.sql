-- outbox.schedule_fault(row) -> why nobody answers for it any more: revoked_key, expired_key, lost_scope, archived; or null
--
-- Read at each tick. One that a login of the database set up has no key to lose.

create or replace function outbox.schedule_fault(p_row outbox.schedules) returns text
language plpgsql stable
as $$
declare
  v_key outbox.keys;
begin
  if exists (select from outbox.projects p where p.id = p_row.project_id and p.archived_at is not null) then
    return 'archived';
  end if;
  if p_row.key_id is null then
    return null;
  end if;
  select * into v_key from outbox.keys k where k.id = p_row.key_id;
  return case
    when v_key.id is null or v_key.revoked_at is not null then 'revoked_key'
    when v_key.expires_at <= outbox.clock() then 'expired_key'
    when v_key.team_id is distinct from p_row.team_id or v_key.project_id <> p_row.project_id
      or not v_key.scopes && outbox.scope_openers('endpoints:write') then 'lost_scope'
  end;
end
$$;
