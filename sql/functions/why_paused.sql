-- outbox.why_paused(job, queue) -> (weight, reason, detail, until): its queue, its share, or a breaker says wait

drop function if exists outbox.why_paused;
create function outbox.why_paused(p_job outbox.jobs, p_queue outbox.queues)
returns table (weight numeric, reason text, detail text, until timestamptz)
language plpgsql stable
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  return query
  select 4.0, 'queue_paused', concat_ws(', ', 'by ' || coalesce(p_queue.paused_by, 'unknown'),
    p_queue.paused_reason, coalesce('until ' || p_queue.paused_until, 'until resumed')), p_queue.paused_until
  where p_queue.paused and coalesce(p_queue.paused_until > v_now, true)
  union all
  select 5.0, 'share_paused', concat_ws(', ', 'by ' || coalesce(s.paused_by, 'unknown'), s.paused_reason,
    coalesce('until ' || s.paused_until, 'until resumed')), s.paused_until
  from outbox.shares s
  where s.queue_id = p_queue.id and s.project_id = p_job.project_id and s.paused
    and coalesce(s.paused_until > v_now, true)
  union all
  select 6.0, 'queue_closed', concat_ws(', ', p_queue.closed_reason, 'until ' || p_queue.closed_until,
    case when p_queue.probing then 'then one at a time until one succeeds' end), p_queue.closed_until
  where p_queue.closed_until > v_now;
end
$$;
