-- outbox.redrive_jobs(caller, jobs, states, rate, now, reason) -> how many of them are queued anew; never waits
--
-- Lanes that are gone are opened first, in one order, and before anything else is held: an insert may have to
-- wait for whoever opens the same lane. From then on what somebody holds is left out.

create or replace function outbox.redrive_jobs(
  p_caller outbox.caller, p_jobs uuid[], p_states text[], p_rate numeric, p_now timestamptz, p_reason text
) returns int
language plpgsql
as $$
declare
  v_jobs uuid[];
  v_back int := 0;
begin
  if 'failed' = any (p_states) or 'cancelled' = any (p_states) then
    perform outbox.open_lanes(p_jobs);
  end if;
  v_jobs := outbox.restartable(p_jobs, outbox.lock_lanes(p_jobs));
  -- First what is queued already, or it would meet those that the others queue.
  if 'queued' = any (p_states) then
    v_back := outbox.hasten(v_jobs, p_rate, 0, p_now);
  end if;
  if 'failed' = any (p_states) then
    v_back := v_back + outbox.retry_failed(p_caller, v_jobs, p_rate, v_back, p_now, p_reason);
  end if;
  if 'cancelled' = any (p_states) then
    v_back := v_back + outbox.retry_cancelled(p_caller, v_jobs, p_rate, v_back, p_now, p_reason);
  end if;
  perform outbox.close_lanes(p_jobs);
  perform outbox.wake_queues(array(
    select distinct j.queue_id from unnest(p_jobs) u(id)
    cross join lateral (select j.queue_id from outbox.jobs j where j.id = u.id offset 0) j));
  return v_back;
end
$$;
