-- outbox.make_project(caller, team, name, metadata, settings) -> its id, with its feed
--
-- Only for who sees the whole team (OX404 otherwise, so that a foreign team is no news). Name taken in the
-- team, ignoring case: OX409.

drop function if exists outbox.make_project;
create function outbox.make_project(
  p_caller outbox.caller, p_team uuid, p_name text, p_metadata jsonb default '{}', p_settings jsonb default '{}'
) returns uuid
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_id uuid := outbox.uuid7(v_now);
  v_settings jsonb := outbox.merge_settings('{}', p_settings);
begin
  p_caller := outbox.admit(p_caller);
  if p_caller.project_ids is not null or not outbox.sees(p_caller, p_team, null)
      or not exists (select from outbox.teams t where t.id = p_team) then
    perform outbox.refuse(404, 'Team not found');
  end if;
  if p_name is null or p_name !~ '\S' or char_length(p_name) > 120 then
    perform outbox.refuse(400, 'name: 1 to 120 characters');
  end if;
  perform outbox.check_project_settings(v_settings);
  insert into outbox.projects (id, team_id, name, metadata, settings, created_at, updated_at)
  values (v_id, p_team, p_name, outbox.merged_metadata('{}', jsonb_build_object('metadata', p_metadata)), v_settings,
    v_now, v_now)
  on conflict (team_id, lower(name)) do nothing;
  if not found then
    perform outbox.refuse(409, 'a project of this team has this name');
  end if;
  perform outbox.open_stream(v_id);
  perform outbox.audit(p_caller, 'project.created', 'project', v_id::text, p_team, v_id,
    jsonb_build_object('new', jsonb_build_object('name', p_name, 'settings', nullif(v_settings, '{}'))));
  return v_id;
end
$$;
