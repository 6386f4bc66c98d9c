-- outbox.import_project(caller, team, project) -> (project_id, team_id, made): what an export says of its project
--
-- By id: one that is here stays as it is. Its team is the one with that id, else the one of that name, else a new one.
-- Operators only (OX403). Another project of that team has the name: OX409.

drop function if exists outbox.import_project;
create function outbox.import_project(p_caller outbox.caller, p_team jsonb, p_project jsonb)
returns table (project_id uuid, team_id uuid, made boolean)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_new outbox.projects := jsonb_populate_record(null::outbox.projects, p_project);
  v_team uuid;
begin
  perform outbox.need_operator(v_caller);
  return query select p.id, p.team_id, false from outbox.projects p where p.id = v_new.id;
  if found then
    return;
  end if;
  -- Which providers there are is another server's affair.
  perform outbox.check_project_settings(coalesce(v_new.settings, '{}') #- '{generation,provider}');
  select t.id into v_team from outbox.teams t where t.id = (p_team ->> 'id')::uuid;
  if v_team is null then
    select t.id into v_team from outbox.teams t where lower(t.name) = lower(p_team ->> 'name');
  end if;
  if v_team is null then
    insert into outbox.teams (id, name, metadata, created_at, updated_at)
    values ((p_team ->> 'id')::uuid, p_team ->> 'name', coalesce(p_team -> 'metadata', '{}'),
      coalesce((p_team ->> 'created_at')::timestamptz, v_now), v_now)
    returning id into v_team;
    perform outbox.audit(v_caller, 'team.created', 'team', v_team::text, v_team, null,
      jsonb_build_object('new', jsonb_build_object('name', p_team ->> 'name'), 'imported', true));
  end if;
  insert into outbox.projects (id, team_id, name, metadata, settings, archived_at, created_at, updated_at, revision)
  values (v_new.id, v_team, v_new.name, coalesce(v_new.metadata, '{}'), coalesce(v_new.settings, '{}'), v_new.archived_at,
    coalesce(v_new.created_at, v_now), coalesce(v_new.updated_at, v_now), coalesce(v_new.revision, 1))
  on conflict (team_id, lower(name)) do nothing;
  if not found then
    perform outbox.refuse(409, format('another project of its team is called %s: rename one of them', v_new.name));
  end if;
  perform outbox.open_stream(v_new.id);
  perform outbox.audit(v_caller, 'project.created', 'project', v_new.id::text, v_team, v_new.id,
    jsonb_build_object('new', jsonb_build_object('name', v_new.name), 'imported', true));
  return query select v_new.id, v_team, true;
end
$$;
