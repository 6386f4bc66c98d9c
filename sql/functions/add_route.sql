-- outbox.add_route(caller, pattern, queue, project, options) -> the route's id
--
-- Events of that type (exact, `a.b.*`, `*`) make a job in that queue. Scope: the project; without one the
-- caller's team; without a team global, operators only (an operator names a team by option teamId). Options:
-- handler (first use of a queue), enabled, contains, priority, delayMs, maxAttempts, timeoutMs, ordered.
-- OX400: pattern, option, unknown handler; OX403: a handler that is not open; OX409: more than 100 routes seen
-- by one project, or another handler.

drop function if exists outbox.add_route;
create function outbox.add_route(
  p_caller outbox.caller, p_pattern text, p_queue text, p_project uuid default null, p_options jsonb default '{}'
) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_route outbox.routes;
begin
  v_route.id := outbox.uuid7(outbox.clock());
  v_route.pattern := p_pattern;
  v_route.enabled := true;
  v_route.ordered := true;
  v_route.created_at := outbox.clock();
  v_route.created_by := v_caller.actor;
  v_route := outbox.route_scope(v_caller, v_route, p_project, p_options ->> 'teamId');
  v_route := outbox.route_options(v_route, p_options, '{handler,teamId}');
  perform outbox.need_open_handler(coalesce((select q.handler from outbox.queues q where q.name = p_queue),
    p_options ->> 'handler', 'pull:' || p_queue));
  v_route.queue_id := outbox.open_queue(p_queue, p_options ->> 'handler', v_route.team_id);
  if outbox.most_routes(v_route.team_id, v_route.project_id) >= 100 then
    perform outbox.refuse(409, 'a project would see more than 100 routes', 'LimitReached');
  end if;
  insert into outbox.routes select v_route.*;
  perform outbox.audit(v_caller, 'route.added', 'route', v_route.id::text, v_route.team_id, v_route.project_id,
    jsonb_build_object('new', to_jsonb(v_route) || jsonb_build_object('queue', p_queue)));
  return v_route.id;
end
$$;
