-- outbox.check_new_key(caller, team, project, scopes, name, expires_at, now): refuses a key that must not be minted

create or replace function outbox.check_new_key(
  p_caller outbox.caller, p_team uuid, p_project uuid, p_scopes text[], p_name text, p_expires_at timestamptz,
  p_now timestamptz
) returns void
language plpgsql stable
as $$
declare
  v_unknown text;
begin
  if p_team is null and p_caller.everywhere is not true then
    perform outbox.refuse(403, 'only an operator mints a key without a team');
  elsif p_team is not null and (not outbox.sees(p_caller, p_team, p_project)
      or not exists (select from outbox.teams t where t.id = p_team)) then
    perform outbox.refuse(404, 'Team not found');
  elsif p_project is not null and not exists (select from outbox.projects p where p.id = p_project and p.team_id = p_team) then
    perform outbox.refuse(404, 'Project not found');
  end if;
  select s into v_unknown from unnest(p_scopes) s where outbox.effective_scopes(array[s]) = '{}' limit 1;
  if v_unknown is not null or coalesce(cardinality(p_scopes), 0) = 0 then
    perform outbox.refuse(400, coalesce('no such scope: ' || left(v_unknown, 100), 'at least one scope'));
  elsif char_length(p_name) > 120 then
    perform outbox.refuse(400, 'name: at most 120 characters');
  elsif p_expires_at <= p_now then
    perform outbox.refuse(400, 'expires_at: later than now');
  elsif not outbox.may_mint(p_caller.key_id, p_scopes) then
    perform outbox.refuse(403, 'a key mints no wider key than itself');
  end if;
end
$$;
