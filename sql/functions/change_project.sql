-- outbox.change_project(caller, project, changes, revision) -> its row as it is now
--
-- A merge patch of name, metadata, archived, settings. An archived project takes no events; what it owes is still
-- done. Another budget asks again for what a budget holds. Another team's: OX404. Unknown or wrong: OX400; name
-- taken: OX409; another revision than that: OX412. Audited with old and new values.

drop function if exists outbox.change_project;
create function outbox.change_project(
  p_caller outbox.caller, p_project uuid, p_changes jsonb, p_revision int default null
) returns outbox.projects
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.projects;
  v_new outbox.projects;
begin
  perform outbox.check_changes(p_changes, '{name,metadata,archived,settings}');
  perform outbox.find_project(v_caller, p_project);
  select * into v_old from outbox.projects p where p.id = p_project for update;
  if v_old.revision <> p_revision then
    perform outbox.refuse(412, 'the project was changed meanwhile');
  end if;
  if exists (select from outbox.projects p where p.team_id = v_old.team_id and p.id <> p_project
             and lower(p.name) = lower(p_changes ->> 'name')) then
    perform outbox.refuse(409, 'a project of this team has this name');
  end if;
  v_new := v_old;
  if p_changes ? 'settings' then
    v_new.settings := outbox.merge_settings(v_old.settings, p_changes -> 'settings');
    perform outbox.check_project_settings(v_new.settings);
  end if;
  update outbox.projects p set name = coalesce(p_changes ->> 'name', p.name), settings = v_new.settings,
    metadata = outbox.merged_metadata(p.metadata, p_changes),
    archived_at = case when (p_changes ->> 'archived')::boolean then coalesce(p.archived_at, outbox.clock())
      when not p_changes ? 'archived' then p.archived_at end,
    updated_at = outbox.clock(), revision = p.revision + 1
  where p.id = p_project returning * into v_new;
  perform outbox.audit_change(v_caller, 'project', p_project, v_old.team_id, p_project, to_jsonb(v_old), to_jsonb(v_new));
  if v_new.settings -> 'budgets' is distinct from v_old.settings -> 'budgets' then
    perform outbox.release_budget(v_caller, v_old.team_id, p_project);
  end if;
  return v_new;
end
$$;
