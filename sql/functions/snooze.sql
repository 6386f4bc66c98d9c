-- outbox.snooze(caller, job, until, reason) -> when it is due now: a queued job is put off
--
-- Held with the reason (`snoozed` without one) until then; the attempt count stays. A keyed job that heads a free
-- lane holds the lane; behind others its place moves, and what stands behind it moves too, so the order of the lane
-- stays. Not queued: OX409; not ahead of now, or after its deadline: OX400; its place still to come: OX503.

drop function if exists outbox.snooze;
create function outbox.snooze(p_caller outbox.caller, p_job uuid, p_until timestamptz, p_reason text default null)
returns timestamptz
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_job outbox.jobs := outbox.find_job(v_caller, p_job);
  v_held text := left(coalesce(p_reason, 'snoozed'), 200);
  v_at record;
begin
  perform outbox.need_read_committed();
  perform outbox.need_reason(p_reason);
  if p_until is null or p_until <= outbox.clock()
     or p_until > coalesce(v_job.deadline, outbox.uuid7_time(p_job) + outbox.hold()) then
    perform outbox.refuse(400, 'p_until: later than now, and not after the deadline of the job');
  end if;
  v_at := outbox.lock_job(v_job);
  if v_at.state <> 'queued' then
    perform outbox.refuse(409, format('the job is %s, not queued', v_at.state));
  elsif v_at.place = 'none' then
    perform outbox.refuse(503, 'the job waits for its place in its lane: try again');
  elsif v_at.lane < 0 then
    perform outbox.snooze_keyed(p_job, v_at.lane, p_until, v_held);
  else
    insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series, held)
    select i.queue_id, i.lane, i.priority, p_until, i.job_id, i.attempt, i.no - 1, i.series, v_held
    from unnest(outbox.take_waiting(array[p_job], '{}')) i;
  end if;
  perform outbox.audit_job(v_caller, v_job, 'snoozed', jsonb_build_object('until', p_until, 'reason', p_reason));
  return p_until;
end
$$;
