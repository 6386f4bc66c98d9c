-- outbox.change_route(caller, route, options): what the options name changes, for events from the next commit on
--
-- Options as add_route, without handler, with pattern; a null is the default again. OX404: no such route; OX403: a
-- route of a wider scope. The queue and the scope of a route do not change: remove it and add another.

drop function if exists outbox.change_route;
create function outbox.change_route(p_caller outbox.caller, p_route uuid, p_options jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.routes := outbox.find_route(v_caller, p_route);
  v_new outbox.routes := v_old;
begin
  if v_old.id is null then
    perform outbox.refuse(404, 'Route not found');
  end if;
  v_new.pattern := case when p_options ? 'pattern' then p_options ->> 'pattern' else v_old.pattern end;
  v_new := outbox.route_options(v_new, p_options, '{pattern}');
  update outbox.routes t set pattern = v_new.pattern, enabled = v_new.enabled, contains = v_new.contains,
    priority = v_new.priority, delay = v_new.delay, max_attempts = v_new.max_attempts, timeout = v_new.timeout,
    ordered = v_new.ordered
  where t.id = p_route;
  perform outbox.audit(v_caller, 'route.changed', 'route', p_route::text, v_old.team_id, v_old.project_id,
    jsonb_build_object('old', outbox.row_changes(to_jsonb(v_new), to_jsonb(v_old)),
      'new', outbox.row_changes(to_jsonb(v_old), to_jsonb(v_new))));
end
$$;
