-- outbox.why_running(job, queue) -> (weight, reason, detail, until): it runs, and does its worker live?

drop function if exists outbox.why_running;
create function outbox.why_running(p_job outbox.jobs, p_queue outbox.queues)
returns table (weight numeric, reason text, detail text, until timestamptz)
language plpgsql stable
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  return query
  select 1.0, 'running', concat_ws(', ',
      'worker ' || coalesce(w.name || ' on ' || coalesce(w.host, 'unknown host'), l.worker_id || ', which is gone'),
      'lease ' || l.id, 'since ' || l.claimed_at, 'timeout ' || coalesce(p_job.timeout, p_queue.timeout),
      'last beat ' || date_trunc('milliseconds', v_now - w.beat_at) || ' ago',
      case when s.silent then 'worker_silent: rescued at the time shown' end),
    case when s.silent then least(l.deadline_at, greatest(w.beat_at + 5 * w.beat_every, v_now))
      else l.deadline_at end
  from outbox.leases l
  left join outbox.workers w on w.id = l.worker_id
  cross join lateral (select coalesce(w.fenced_at is not null
    or (w.beats and w.beat_at < v_now - w.beat_every * 4 / 3), true) as silent) s
  where p_job.id = any (l.job_ids);
end
$$;
