-- outbox.purge_dead(before, limit) -> how many dead letters from before that time were let go
--
-- Retention's own purge: the body stays readable, the ledger says purged, a lane that one of them blocked goes on.
-- What somebody else holds is left for the next run.

create or replace function outbox.purge_dead(p_before timestamptz, p_limit int default 1000) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.me();
  v_jobs uuid[];
  v_taken outbox.settling[];
begin
  perform outbox.need_read_committed();
  v_caller.actor := 'outboxd';
  v_jobs := array(
    select d.job_id from outbox.dead_letters d
    where d.failed_at < p_before
    order by d.failed_at limit p_limit for update skip locked);
  v_taken := outbox.take_jobs(v_jobs, array['failed']);
  perform outbox.end_jobs(v_caller, v_taken, 'purged', 'retention', outbox.clock());
  return cardinality(v_taken);
end
$$;
