-- outbox.observed_on(observation, session, platform) -> the session's platform, else its own, else an event's

drop function if exists outbox.observed_on;
create function outbox.observed_on(p_observation uuid, p_session uuid, p_platform text) returns text
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return coalesce((select s.platform_source from outbox.sessions s where s.id = p_session), p_platform, (
    select e.platform_source
    from (select o.source_id from outbox.observation_sources o
      where o.observation_id = p_observation and o.source_type = 'agent_event' order by o.id limit 100) f
    cross join lateral (select e.platform_source from outbox.events e where e.id = f.source_id offset 0) e
    where e.platform_source is not null limit 1));
end
$$;
