-- after: trail_of_event, trail_of_job
-- outbox.audit_chain(event, job, resource) -> everything about them: what was done, and what followed

create or replace function outbox.audit_chain(p_event uuid, p_job uuid, p_resource text) returns setof outbox.trail
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_jobs uuid[] := array(select j.id from outbox.jobs j where j.event_id = p_event
    union select m.job_id from outbox.members m where m.event_id = p_event union select p_job where p_job is not null);
begin
  return query select t.* from outbox.trail_of_event(p_event) t where p_event is not null;
  return query select t.* from unnest(v_jobs) j (id) cross join lateral outbox.trail_of_job(j.id) t;
  return query
  select a.id, a.at, a.action, a.resource_type, a.resource_id, a.team_id, a.project_id, a.actor, a.key_id, a.request_id,
    case when a.resource_type = 'agent_event' then p_event end, null::uuid, a.details
  from (select distinct r.id from unnest(v_jobs::text[] || p_event::text || p_resource) r (id) where r.id is not null) r
  cross join lateral (select * from outbox.audit_log a where a.resource_id = r.id offset 0) a;
end
$$;
