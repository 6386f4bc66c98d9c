-- outbox.trail_of_job(job) -> all that happened to it and came of it; how it was made has the job's own id

create or replace function outbox.trail_of_job(p_job uuid) returns setof outbox.trail
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select case
      when t.action like '%.queued' then p_job
      when t.resource_type = 'observation' then t.resource_id::uuid
      else outbox.trail_id(t.at, t.action || t.resource_id || t.details) end,
    case when t.action like '%.queued' then outbox.uuid7_time(p_job)
      when t.resource_type = 'observation' then outbox.uuid7_time(t.resource_id::uuid) else t.at end,
    t.action, t.resource_type, t.resource_id, t.team_id, t.project_id, t.actor, t.key_id, t.request_id, t.event_id,
    t.job_id, t.details
  from outbox.pipeline_trail t
  where t.job_id = p_job;
end
$$;
