-- outbox.sole_events(observations) -> the events that these come from and no other observation does

drop function if exists outbox.sole_events;
create function outbox.sole_events(p_observations uuid[]) returns uuid[]
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return array(
    select distinct s.source_id
    from unnest(p_observations) u (id)
    cross join lateral (select s.source_id from outbox.observation_sources s
      where s.observation_id = u.id and s.source_type = 'agent_event' offset 0) s
    where not exists (select from outbox.observation_sources x
      where x.source_id = s.source_id and x.observation_id <> all (p_observations) offset 0)
    order by s.source_id);
end
$$;
