-- outbox.end_jobs(caller, items, outcome, reason, now): the end of jobs that were taken: cancelled, or purged
--
-- The ledger gets the caller's name and words, lanes go on, the workers that run them are told at their next
-- beat, and the queues are hinted.

create or replace function outbox.end_jobs(
  p_caller outbox.caller, p_items outbox.settling[], p_outcome text, p_reason text, p_now timestamptz
) returns void
language plpgsql
as $$
declare
  v_items outbox.settling[];
begin
  v_items := array(
    select row(i.ord, i.lease_id, i.worker_id, i.job_id, i.queue_id, i.lane, i.priority, i.run_at, i.no, i.attempt,
      i.series, i.started_at, p_outcome, null, null, null, p_reason, null, null, null, true, null, p_caller.actor,
      p_caller.key_id, p_outcome, null)::outbox.settling
    from unnest(p_items) i);
  perform outbox.conclude(v_items, p_now);
  update outbox.workers w set cancelled = w.cancelled || t.jobs
  from (select i.worker_id, array_agg(i.job_id order by i.job_id) as jobs
    from unnest(p_items) i where i.worker_id is not null group by i.worker_id) t
  where w.id = t.worker_id and w.fenced_at is null;
  perform outbox.wake_queues(array(select i.queue_id from unnest(p_items) i where i.lane < 0 or i.lease_id is not null));
  perform outbox.tell_waiters(array(select i.job_id from unnest(p_items) i));
end
$$;
