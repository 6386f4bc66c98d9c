-- outbox.clear_job(jobs): what goes when a job ends: its unique key, its checkpoint, its gathering
--
-- A gathering that named a job which has ended would take events that nobody works on. `place`, should it be adding
-- some at the moment, is waited for; it waits for nobody while it holds that row.

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
  if exists (select from outbox.gatherings) then
    delete from outbox.gatherings g where g.job_id = any (p_jobs);
  end if;
end
$$;
