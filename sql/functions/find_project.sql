-- outbox.find_project(caller, project) -> a project the caller may see, archived or not; else OX404

create or replace function outbox.find_project(p_caller outbox.caller, p_project uuid) returns outbox.projects
language plpgsql stable
as $$
declare
  v_project outbox.projects;
begin
  select * into v_project from outbox.projects p where p.id = p_project;
  if v_project.id is null or outbox.sees(p_caller, v_project.team_id, v_project.id) is not true then
    perform outbox.refuse(404, 'Project not found');
  end if;
  return v_project;
end
$$;
