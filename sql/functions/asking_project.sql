-- outbox.asking_project(caller, project, session) -> the project in which something is asked
--
-- None: OX400. Another's, or a session of another: OX403. Archived: OX409.

create or replace function outbox.asking_project(p_caller outbox.caller, p_project uuid, p_session uuid)
returns outbox.projects
language plpgsql stable
as $$
declare
  v_project outbox.projects;
begin
  if p_project is null then
    perform outbox.refuse(400, 'p_project: required');
  end if;
  select * into v_project from outbox.projects p where p.id = p_project;
  if v_project.id is null or outbox.sees(p_caller, v_project.team_id, v_project.id) is not true then
    perform outbox.refuse(403, 'project_id must belong to team_id');
  end if;
  if v_project.archived_at is not null then
    perform outbox.refuse(409, 'The project is archived', 'ProjectArchived');
  end if;
  if p_session is not null and not exists (
    select from outbox.sessions s where s.id = p_session and s.project_id = v_project.id
      and s.created_at > coalesce(v_project.purged_at, '-infinity')) then
    perform outbox.refuse(403, 'server_session_id must belong to project_id and team_id');
  end if;
  return v_project;
end
$$;
