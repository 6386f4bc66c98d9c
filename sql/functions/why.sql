-- outbox.why(job) -> (rank, reason, detail, until): why is it not running? All that apply, the decisive one first
--
-- Reasons: ended, dead, running, not_due, not_numbered, queue_paused, share_paused, queue_closed, lane, no_slot,
-- no_token, no_worker, busy, will_end, pinned; not_found. `until`: when that ends by itself, null: not by itself.

drop function if exists outbox.why;
create function outbox.why(p_job uuid) returns table (rank int, reason text, detail text, until timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off
as $$
declare
  v_job outbox.jobs;
  v_queue outbox.queues;
  v_at record;
begin
  select * into v_job from outbox.jobs j where j.id = p_job;
  if v_job.id is null then
    return query select 1, 'not_found', 'no such job, or the transaction that makes it has not committed',
      null::timestamptz;
    return;
  end if;
  select * into v_queue from outbox.queues q where q.id = v_job.queue_id;
  select * into v_at from outbox.job_state(p_job);
  return query
  select (row_number() over (order by r.weight))::int, r.reason, r.detail, r.until
  from (
    select * from outbox.why_over(v_job, v_at.state)
    union all select * from outbox.why_running(v_job, v_queue)
    union all select * from outbox.why_not_due(v_job)
    union all select * from outbox.why_paused(v_job, v_queue) w where v_at.state = 'queued'
    union all select * from outbox.why_lane(v_job) where v_at.place = 'ready'
    union all select * from outbox.why_room(v_queue) where v_at.state = 'queued'
    union all select * from outbox.why_worker(v_job, v_queue) where v_at.state = 'queued'
    union all select * from outbox.why_will_end(v_job) where v_at.state = 'queued'
    union all select * from outbox.why_pinned() where v_at.place = 'ready') r;
end
$$;
