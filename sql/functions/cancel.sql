-- outbox.cancel(caller, job, reason) -> (before, after): the job is over, whatever it did
--
-- Queued or failed: cancelled at once. Processing: taken out of its lease, so that its late result is refused, and
-- the worker is told at its next beat. Cancelled: itself. Completed, or purged: OX409. A lane it headed or
-- blocked goes on. If the job keeps moving under it: OX503.

drop function if exists outbox.cancel;
create function outbox.cancel(p_caller outbox.caller, p_job uuid, p_reason text default null)
returns table (before text, after text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_job outbox.jobs := outbox.find_job(v_caller, p_job);
  v_at record;
begin
  perform outbox.need_read_committed();
  perform outbox.need_reason(p_reason);
  v_at := outbox.lock_job(v_job);
  if v_at.state = 'completed' then
    perform outbox.refuse(409, 'Generation job already completed; cannot cancel');
  elsif v_at.state = 'failed' and v_at.place = 'none' then
    perform outbox.refuse(409, 'The dead letter was purged; cannot cancel');
  elsif v_at.state <> 'cancelled' then
    perform outbox.end_jobs(v_caller, outbox.take_jobs(array[p_job], array[v_at.state::text]), 'cancelled', p_reason,
      outbox.clock());
  end if;
  perform outbox.audit_job(v_caller, v_job, 'cancelled_by_operator', jsonb_build_object(
    'previousStatus', v_at.state, 'currentStatus', 'cancelled', 'reason', p_reason,
    'outcome', case when v_at.state = 'cancelled' then 'noop_already_cancelled' end));
  return query select v_at.state::text, 'cancelled'::text;
end
$$;
