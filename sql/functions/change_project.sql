-- outbox.change_project(caller, project, changes) -> its row as it is now
--
-- Changes: name, metadata (replaced), archived. An archived project takes no events; what it owes is still done.
-- Another team's: OX404. Unknown or wrong: OX400; name taken: OX409. Audited with old and new values.

drop function if exists outbox.change_project;
create function outbox.change_project(p_caller outbox.caller, p_project uuid, p_changes jsonb) returns outbox.projects
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.projects;
  v_new outbox.projects;
begin
  perform outbox.check_changes(p_changes, '{name,metadata,archived}');
  perform outbox.find_project(v_caller, p_project);
  select * into v_old from outbox.projects p where p.id = p_project for update;
  if exists (select from outbox.projects p where p.team_id = v_old.team_id and p.id <> p_project
             and lower(p.name) = lower(p_changes ->> 'name')) then
    perform outbox.refuse(409, 'a project of this team has this name');
  end if;
  update outbox.projects p set name = coalesce(p_changes ->> 'name', p.name),
    metadata = coalesce(p_changes -> 'metadata', p.metadata),
    archived_at = case when (p_changes ->> 'archived')::boolean then coalesce(p.archived_at, outbox.clock())
      when not p_changes ? 'archived' then p.archived_at end,
    updated_at = outbox.clock(), revision = p.revision + 1
  where p.id = p_project returning * into v_new;
  perform outbox.audit(v_caller, 'project.changed', 'project', p_project::text, v_old.team_id, p_project,
    jsonb_build_object('old', outbox.row_changes(to_jsonb(v_new), to_jsonb(v_old)),
      'new', outbox.row_changes(to_jsonb(v_old), to_jsonb(v_new))));
  return v_new;
end
$$;
