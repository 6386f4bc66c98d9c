-- outbox.retry(caller, job, reason) -> (before, after, series): the job runs again, due now
--
-- Failed, cancelled: a new series, attempts from 0, under the caller's authority; a keyed job at its old place in
-- its lane (cancelled: at the end), which a block no longer stops. Queued: due now, any hold lifted. Processing,
-- completed, purged, or its unique key taken meanwhile: OX409.

drop function if exists outbox.retry;
create function outbox.retry(p_caller outbox.caller, p_job uuid, p_reason text default null)
returns table (before text, after text, series int)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_job outbox.jobs := outbox.find_job(v_caller, p_job);
  v_now timestamptz := outbox.clock();
  v_at record;
  v_back int := 0;
begin
  perform outbox.need_read_committed();
  perform outbox.need_reason(p_reason);
  v_at := outbox.lock_job(v_job, true);
  perform outbox.need_retryable(v_job, v_at.state, v_at.place);
  if v_at.state = 'failed' then
    v_back := outbox.retry_failed(v_caller, array[p_job], 0, 0, v_now, p_reason);
  elsif v_at.state = 'cancelled' then
    v_back := outbox.retry_cancelled(v_caller, array[p_job], 0, 0, v_now, p_reason);
  end if;
  if v_back = 0 then
    -- Queued, or somebody else's retry of the cancelled job committed first: theirs is the new series.
    v_at := outbox.lock_job(v_job);
    perform outbox.need_retryable(v_job, v_at.state, v_at.place);
    perform outbox.hasten(array[p_job], 0, 0, v_now);
  end if;
  perform outbox.probe_providers(v_job.queue_id);
  perform outbox.wake_queues(array[v_job.queue_id]);
  perform outbox.audit_job(v_caller, v_job, 'retried_by_operator', jsonb_build_object(
    'previousStatus', v_at.state, 'currentStatus', 'queued', 'retriedCount', v_at.series + v_back, 'reason', p_reason,
    'outcome', case when v_back = 0 then 'noop_already_queued' end));
  return query select v_at.state::text, 'queued'::text, v_at.series + v_back;
end
$$;
