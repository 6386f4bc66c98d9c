-- outbox.find_job(caller, job) -> the body of a job the caller may see; unknown or another tenant's: OX404

create or replace function outbox.find_job(p_caller outbox.caller, p_job uuid) returns outbox.jobs
language plpgsql stable
as $$
declare
  v_job outbox.jobs;
begin
  if p_job is null then
    perform outbox.refuse(400, 'p_job: the id of a job');
  end if;
  select * into v_job from outbox.jobs j where j.id = p_job;
  if v_job.id is null or outbox.sees(p_caller, v_job.team_id, v_job.project_id) is not true then
    perform outbox.refuse(404, 'Job not found');
  end if;
  return v_job;
end
$$;
