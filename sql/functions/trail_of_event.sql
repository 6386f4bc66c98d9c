-- outbox.trail_of_event(event) -> its reception, as the trail says it, by the event's own id and time

create or replace function outbox.trail_of_event(p_event uuid) returns setof outbox.trail
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select p_event, outbox.uuid7_time(p_event), t.action, t.resource_type, t.resource_id, t.team_id, t.project_id, t.actor,
    t.key_id, t.request_id, t.event_id, null::uuid, t.details
  from outbox.pipeline_trail t
  where t.event_id = p_event and t.action = 'event.received' and t.job_id is null;
end
$$;
