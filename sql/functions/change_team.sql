-- outbox.change_team(caller, team, changes) -> its row as it is now
--
-- Changes: name, metadata (replaced). Who sees the whole team; else OX404. Unknown or wrong: OX400; name taken:
-- OX409. Audited with old and new values.

drop function if exists outbox.change_team;
create function outbox.change_team(p_caller outbox.caller, p_team uuid, p_changes jsonb) returns outbox.teams
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.teams;
  v_new outbox.teams;
begin
  perform outbox.check_changes(p_changes, '{name,metadata}');
  select * into v_old from outbox.teams t where t.id = p_team for update;
  if v_old.id is null or v_caller.project_ids is not null or outbox.sees(v_caller, p_team, null) is not true then
    perform outbox.refuse(404, 'Team not found');
  end if;
  if exists (select from outbox.teams t where lower(t.name) = lower(p_changes ->> 'name') and t.id <> p_team) then
    perform outbox.refuse(409, 'a team has this name');
  end if;
  update outbox.teams t set name = coalesce(p_changes ->> 'name', t.name),
    metadata = coalesce(p_changes -> 'metadata', t.metadata), updated_at = outbox.clock()
  where t.id = p_team returning * into v_new;
  perform outbox.audit(v_caller, 'team.changed', 'team', p_team::text, p_team, null, jsonb_build_object(
    'old', outbox.row_changes(to_jsonb(v_new), to_jsonb(v_old)), 'new', outbox.row_changes(to_jsonb(v_old), to_jsonb(v_new))));
  return v_new;
end
$$;
