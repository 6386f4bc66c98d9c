-- outbox.route_scope(caller, route, project, team) -> the route with the tenant it is for

create or replace function outbox.route_scope(
  p_caller outbox.caller, p_route outbox.routes, p_project uuid, p_team text
) returns outbox.routes
language plpgsql stable
as $$
declare
  v_project outbox.projects;
begin
  if p_project is not null or p_caller.project_ids is not null then
    v_project := outbox.caller_project(p_caller, p_project);
    p_route.project_id := v_project.id;
    p_route.team_id := v_project.team_id;
    return p_route;
  end if;
  p_route.team_id := coalesce(p_caller.team_id, p_team::uuid);
  if p_route.team_id is not null and not exists (select from outbox.teams t where t.id = p_route.team_id
      and (p_caller.everywhere or t.id = p_caller.team_id)) then
    perform outbox.refuse(404, 'Team not found');
  end if;
  if p_route.team_id is null then
    perform outbox.need_operator(p_caller);
  end if;
  return p_route;
exception
  when invalid_text_representation then
    perform outbox.refuse(404, 'Team not found');
end
$$;
