-- outbox.match_routes(project, type, payload) -> (route_id, queue, handler, decides, enabled) of every route that matches
--
-- What publish itself uses: of several to one queue the one that decides makes the job, or, disabled, makes none.
-- OX403: not the role's project.

drop function if exists outbox.match_routes;
create function outbox.match_routes(p_project uuid, p_type text, p_payload jsonb default '{}')
returns table (route_id uuid, queue text, handler text, decides boolean, enabled boolean)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_mine uuid[] := (outbox.me()).project_ids;
  v_project outbox.projects;
  v_deciding uuid[];
begin
  if p_project is null or p_type is null then
    perform outbox.refuse(400, 'a project and a type are required');
  end if;
  if not p_project = any (v_mine) then
    perform outbox.refuse(403, 'this role may not act outside its projects');
  end if;
  select * into v_project from outbox.projects p where p.id = p_project;
  if v_project.id is null then
    perform outbox.refuse(404, 'Project not found');
  end if;
  v_deciding := array(
    select t.id from outbox.ingest_routes(v_project.id, v_project.team_id, p_type, coalesce(p_payload, '{}')) t);
  return query
  select t.id, q.name, q.handler, t.id = any (v_deciding), t.enabled
  from outbox.routes t
  join outbox.queues q on q.id = t.queue_id
  where t.pattern = any (outbox.candidates(p_type))
    and (t.project_id = v_project.id or (t.project_id is null and (t.team_id = v_project.team_id or t.team_id is null)))
    and (t.contains is null or coalesce(p_payload, '{}') @> t.contains)
  order by q.name, t.id = any (v_deciding) desc, t.created_at, t.id;
end
$$;
