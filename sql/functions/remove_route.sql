-- outbox.remove_route(caller, route) -> was it there? Jobs it made stay; a wider route than the caller: OX403

drop function if exists outbox.remove_route;
create function outbox.remove_route(p_caller outbox.caller, p_route uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.routes := outbox.find_route(v_caller, p_route);
begin
  if v_old.id is null then
    return false;
  end if;
  delete from outbox.routes t where t.id = p_route;
  perform outbox.audit(v_caller, 'route.removed', 'route', p_route::text, v_old.team_id, v_old.project_id,
    jsonb_build_object('old', to_jsonb(v_old)));
  return true;
end
$$;
