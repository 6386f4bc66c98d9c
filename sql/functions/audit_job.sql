-- outbox.audit_job(caller, job, verb, details): what somebody did to a job; generation has names of its own

create or replace function outbox.audit_job(
  p_caller outbox.caller, p_job outbox.jobs, p_verb text, p_details jsonb
) returns void
language plpgsql
as $$
declare
  v_generation boolean := (select q.handler in ('observe', 'summarize') from outbox.queues q where q.id = p_job.queue_id);
begin
  perform outbox.audit(p_caller, case when v_generation then 'generation_job.' else 'job.' end || p_verb,
    case when v_generation then 'observation_generation_job' else 'job' end, p_job.id::text, p_job.team_id,
    p_job.project_id, p_details);
end
$$;
