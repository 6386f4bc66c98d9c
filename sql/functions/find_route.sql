-- outbox.find_route(caller, route) -> the route, locked, if it is the caller's to change; null when there is none
--
-- One that the caller sees because it is wider (its team's, global) is not its to change: OX403. Others' routes
-- are not there.

create or replace function outbox.find_route(p_caller outbox.caller, p_route uuid) returns outbox.routes
language plpgsql
as $$
declare
  v_route outbox.routes;
begin
  select * into v_route from outbox.routes t where t.id = p_route for update;
  if v_route.id is null or p_caller.everywhere
     or (v_route.project_id is not null and outbox.sees(p_caller, v_route.team_id, v_route.project_id))
     or (v_route.team_id = p_caller.team_id and v_route.project_id is null and p_caller.project_ids is null) then
    return v_route;
  end if;
  if v_route.project_id is null and (v_route.team_id is null or v_route.team_id = p_caller.team_id
      or exists (select from outbox.projects p where p.team_id = v_route.team_id and p.id = any (p_caller.project_ids))) then
    perform outbox.refuse(403, 'this route is wider than what you may change');
  end if;
  return null;
end
$$;
