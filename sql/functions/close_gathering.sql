-- outbox.close_gathering(job) -> was it open? From the commit on nothing joins the job; its `members` are what it has
--
-- Waits for `place`, should it be adding events at the moment. Called before the members are read, in a
-- transaction that ends before that.

create or replace function outbox.close_gathering(p_job uuid) returns boolean
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  delete from outbox.gatherings g where g.job_id = p_job;
  return found;
end
$$;
