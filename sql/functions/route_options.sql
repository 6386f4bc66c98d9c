-- outbox.route_options(route, options, also) -> the route with what the options say, checked; else OX400
--
-- also: options that the caller looks at.

create or replace function outbox.route_options(p_route outbox.routes, p_options jsonb, p_also text[] default '{}')
returns outbox.routes
language plpgsql
as $$
declare
  v_known constant text[] := '{enabled,contains,priority,delayMs,maxAttempts,timeoutMs,ordered}';
  v_wrong text;
begin
  if p_options is null or jsonb_typeof(p_options) <> 'object' then
    perform outbox.refuse(400, 'p_options: an object');
  end if;
  v_wrong := (select k from jsonb_object_keys(p_options) k where not k = any (v_known || p_also) order by k limit 1);
  if v_wrong is not null then
    perform outbox.refuse(400, 'p_options: unknown ' || v_wrong);
  end if;
  if p_options ? 'enabled' then p_route.enabled := coalesce((p_options ->> 'enabled')::boolean, true); end if;
  if p_options ? 'ordered' then p_route.ordered := coalesce((p_options ->> 'ordered')::boolean, true); end if;
  if p_options ? 'contains' then p_route.contains := nullif(p_options -> 'contains', 'null'); end if;
  if p_options ? 'priority' then p_route.priority := p_options ->> 'priority'; end if;
  if p_options ? 'maxAttempts' then p_route.max_attempts := p_options ->> 'maxAttempts'; end if;
  if p_options ? 'delayMs' then
    p_route.delay := make_interval(secs => (p_options ->> 'delayMs')::bigint / 1000.0);
  end if;
  if p_options ? 'timeoutMs' then
    p_route.timeout := make_interval(secs => (p_options ->> 'timeoutMs')::bigint / 1000.0);
  end if;
  perform outbox.check_route(p_route);
  return p_route;
exception
  when data_exception then
    perform outbox.refuse(400, 'p_options: ' || sqlerrm);
end
$$;
