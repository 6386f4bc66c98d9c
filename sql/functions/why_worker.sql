-- outbox.why_worker(job, queue) -> (weight, reason, detail, until): nobody may run it, or those who may are busy

drop function if exists outbox.why_worker;
create function outbox.why_worker(p_job outbox.jobs, p_queue outbox.queues)
returns table (weight numeric, reason text, detail text, until timestamptz)
language plpgsql stable
as $$
declare
  v_now timestamptz := outbox.clock();
  v_open outbox.queues := p_queue;
  v_live record;
begin
  -- Asked of the queue as if nothing had paused or closed it.
  v_open.paused := false;
  v_open.closed_until := null;
  select count(*) as n, coalesce(sum(w.slots), 0) as slots, coalesce(sum(h.used), 0) as used into v_live
  from outbox.workers w
  cross join lateral (select sum(cardinality(l.job_ids)) as used from outbox.leases l where l.worker_id = w.id) h
  where w.fenced_at is null and not w.draining and w.beat_at >= v_now - 5 * w.beat_every
    and outbox.claims_from(w, v_open, v_now);
  if v_live.n = 0 then
    return query select 10.0, 'no_worker', format('no live worker knows %s and subscribes to %s; %s', p_queue.handler,
      p_queue.name, coalesce((select format('the last one that did: %s, last seen %s', concat_ws(' on ', w.name, w.host),
          date_trunc('second', w.beat_at))
        from outbox.workers w where outbox.claims_from(w, v_open, v_now) order by w.beat_at desc limit 1),
        'none is on record')), null::timestamptz;
  else
    return query
    select 11.0, 'busy', format('%s workers, %s of %s slots in use; %s jobs ahead in its share, %s shares in turn',
      v_live.n, v_live.used, v_live.slots, (
        select count(*) from (
          select from outbox.ready r join outbox.ready x on x.queue_id = r.queue_id and x.lane = r.lane
            and (x.priority, x.run_at, x.job_id) < (r.priority, r.run_at, r.job_id)
          where r.job_id = p_job.id limit 10000) x), outbox.shares_waiting(p_queue.id)), null::timestamptz;
  end if;
end
$$;
