-- outbox.decide(items, now) -> the items with the state each job goes to, and when it is due again
--
-- completed, cancelled: over. snoozed: queued again, the attempt given back, unless that is past the deadline:
-- failed with its class, else the reason. failed, timed_out, lost: queued again by the asked delay or the queue's
-- backoff; failed when final, attempts spent, or the next time is past the deadline or the expiry. A job
-- lost for the first time is due at once, twice in a row by backoff. released: queued as it was. What would go back
-- unstarted after its expiry is cancelled, class expired.

create or replace function outbox.decide(p_items outbox.settling[], p_now timestamptz) returns outbox.settling[]
language plpgsql
as $$
declare
  v_hold interval := outbox.hold();
begin
  return array(
    select row(i.ord, i.lease_id, i.worker_id, i.job_id, i.queue_id, i.lane, i.priority, i.run_at, i.no,
      i.attempt, i.series, i.started_at, case when s.state = 'cancelled' then 'cancelled' else i.outcome end, i.ms,
      case when s.state = 'cancelled' and i.outcome <> 'cancelled' then 'expired'
        when s.state = 'failed' and i.no >= 30000 then 'endless'
        when s.state = 'failed' and i.outcome = 'snoozed' then coalesce(i.class, i.held, 'snoozed') else i.class end,
      i.status, i.error, i.output, i.detail, i.retry_in, i.final, i.held, i.actor, i.key_id,
      s.state, case when s.state = 'queued' then d.due end)::outbox.settling
    from unnest(p_items) i
    left join lateral (
      select coalesce(j.max_attempts, q.attempts) as attempts, q.backoff, j.expires_at,
        coalesce(j.deadline, outbox.uuid7_time(j.id) + v_hold) as deadline
      from outbox.jobs j join outbox.queues q on q.id = j.queue_id
      where j.id = i.job_id and i.outcome not in ('completed', 'cancelled') offset 0) j on true
    cross join lateral (select p_now + case
      when i.outcome in ('completed', 'cancelled') then null
      when i.retry_in is not null then least(i.retry_in, case when i.outcome = 'snoozed' then interval '366 days' else '24 h' end)
      when i.outcome = 'released' or (i.outcome = 'lost' and not outbox.lost_before(i.job_id, i.no)) then interval '0'
      else outbox.backoff(i.attempt, j.backoff, random()) end as due) d
    cross join lateral (select case
      when i.outcome in ('completed', 'cancelled') then i.outcome
      when i.outcome in ('released', 'snoozed', 'lost') and j.expires_at <= p_now then 'cancelled'
      when i.no >= 30000 or (i.outcome <> 'released' and d.due > j.deadline)
        or (i.outcome in ('failed', 'timed_out') and d.due >= j.expires_at) then 'failed'
      when i.outcome in ('snoozed', 'released') then 'queued'
      when i.final or i.attempt >= j.attempts then 'failed'
      else 'queued' end as state) s
    order by i.ord);
end
$$;
