-- outbox.sole_observations(events) -> the observations that come from these events and from nothing else

drop function if exists outbox.sole_observations;
create function outbox.sole_observations(p_events uuid[]) returns uuid[]
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return array(
    select distinct s.observation_id
    from unnest(p_events) u (id)
    cross join lateral (select s.observation_id from outbox.observation_sources s
      where s.source_id = u.id and s.source_type = 'agent_event' offset 0) s
    where not exists (select from outbox.observation_sources x
      where x.observation_id = s.observation_id and x.source_id <> all (p_events) offset 0)
    order by s.observation_id);
end
$$;
