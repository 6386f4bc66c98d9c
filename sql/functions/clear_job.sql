-- outbox.clear_job(jobs): what goes when a job ends: its unique key and its checkpoint

create or replace function outbox.clear_job(p_jobs uuid[]) returns void
language plpgsql
as $$
begin
  delete from outbox.job_keys k where k.job_id = any (p_jobs);
  delete from outbox.checkpoints c where c.job_id = any (p_jobs);
end
$$;
