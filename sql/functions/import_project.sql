-- outbox.import_project(caller, team, project, by_name) -> (project_id, team_id, made): what is said of a project elsewhere
--
-- By id: one that is here stays as it is. Its team as `import_team` finds or makes it. Another project of that team has
-- the name: OX409, or, unless teams are found by name, it gets the beginning of its id behind. Operators only (OX403).

drop function if exists outbox.import_project;
create function outbox.import_project(p_caller outbox.caller, p_team jsonb, p_project jsonb, p_by_name boolean default true)
returns table (project_id uuid, team_id uuid, made boolean)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_new outbox.projects := jsonb_populate_record(null::outbox.projects, p_project);
  v_name text := left(p_project ->> 'name', 120);
  v_team uuid;
begin
  perform outbox.need_operator(v_caller);
  return query select p.id, p.team_id, false from outbox.projects p where p.id = v_new.id;
  if found then
    return;
  end if;
  -- Which providers there are is another server's affair.
  perform outbox.check_project_settings(coalesce(v_new.settings, '{}') #- '{generation,provider}');
  v_team := outbox.import_team(v_caller, p_team, p_by_name);
  if exists (select from outbox.projects p where p.team_id = v_team and lower(p.name) = lower(v_name)) then
    if p_by_name then
      perform outbox.refuse(409, format('another project of its team is called %s: rename one of them', v_name));
    end if;
    v_name := left(v_name, 109) || format(' (%s)', left(v_new.id::text, 8));
  end if;
  insert into outbox.projects (id, team_id, name, metadata, settings, archived_at, created_at, updated_at, revision)
  values (v_new.id, v_team, v_name, coalesce(v_new.metadata, '{}'), coalesce(v_new.settings, '{}'), v_new.archived_at,
    coalesce(v_new.created_at, v_now), coalesce(v_new.updated_at, v_now), coalesce(v_new.revision, 1));
  perform outbox.open_stream(v_new.id);
  perform outbox.audit(v_caller, 'project.created', 'project', v_new.id::text, v_team, v_new.id,
    jsonb_build_object('new', jsonb_build_object('name', v_name), 'imported', true));
  return query select v_new.id, v_team, true;
end
$$;
