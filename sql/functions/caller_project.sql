-- outbox.caller_project(caller, project) -> the project named, or the only one the caller has
--
-- Another team's or an unknown one: OX404. Archived: OX409. None and not clear: OX400.

create or replace function outbox.caller_project(p_caller outbox.caller, p_project uuid) returns outbox.projects
language plpgsql stable
as $$
declare
  v_project outbox.projects;
begin
  if p_project is null and cardinality(p_caller.project_ids) = 1 then
    p_project := p_caller.project_ids[1];
  end if;
  if p_project is null then
    perform outbox.refuse(400, 'no project: pass one');
  end if;
  select * into v_project from outbox.projects p where p.id = p_project;
  if v_project.id is null or not outbox.sees(p_caller, v_project.team_id, v_project.id) then
    perform outbox.refuse(404, 'Project not found');
  end if;
  if v_project.archived_at is not null then
    perform outbox.refuse(409, 'The project is archived', 'ProjectArchived');
  end if;
  return v_project;
end
$$;
