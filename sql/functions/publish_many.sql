-- outbox.publish_many(events, project) -> (ord, event_id, duplicate, differs): up to 1,000 events, all or none
--
-- Each element has the shape of the HTTP event (http-api.md §4). Array order is publish order. The first bad
-- element raises with its ordinal, counted from 0: OX400, OX403, OX409, OX413.

drop function if exists outbox.publish_many;
create function outbox.publish_many(p_events jsonb[], p_project uuid default null)
returns table (ord int, event_id uuid, duplicate boolean, differs boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_rows outbox.incoming[] := '{}';
begin
  if coalesce(cardinality(p_events), 0) not between 1 and 1000 then
    perform outbox.refuse(400, 'p_events: 1 to 1,000 events');
  end if;
  for v_at in 1 .. cardinality(p_events) loop
    v_rows := v_rows || outbox.incoming_of(p_events[v_at], p_project, v_at - 1);
  end loop;
  return query select * from outbox.publish_rows(v_rows);
end
$$;
