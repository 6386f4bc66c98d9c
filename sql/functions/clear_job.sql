-- outbox.clear_job(jobs): what goes when a job ends: its unique key and its checkpoint

create or replace function outbox.clear_job(p_jobs uuid[]) returns void
language plpgsql
as $$
begin
  if exists (select from outbox.job_keys) then
    delete from outbox.job_keys k where k.job_id = any (p_jobs);
  end if;
  if exists (select from outbox.checkpoints) then
    delete from outbox.checkpoints c where c.job_id = any (p_jobs);
  end if;
end
$$;
