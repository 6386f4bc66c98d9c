-- outbox.session_events(session) -> (events, newest): how many it has, and the newest id
--
-- An end remembers both: ids are made before their commit, so a late event may be older than the newest one that
-- was counted, and only the number tells; and retention drops old events, so only the newest tells of others.

drop function if exists outbox.session_events;
create function outbox.session_events(p_session uuid) returns table (events bigint, newest uuid)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select (select count(*) from outbox.events e where e.session_id = p_session),
    (select e.id from outbox.events e where e.session_id = p_session order by e.id desc limit 1);
end
$$;
