-- outbox.requeue(items, now): puts the queued ones back: due to `ready`, others to `later`
--
-- A released, snoozed or lost-at-release job gets its attempt back. A keyed job returns to its old place in its
-- lane, whatever its delay: the lane waits, not the job.

create or replace function outbox.requeue(p_items outbox.settling[], p_now timestamptz) returns void
language plpgsql
as $$
begin
  insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
  select i.queue_id, i.lane, i.priority,
    case when i.lane < 0 or i.outcome = 'released' then i.run_at else i.due_at end, i.job_id,
    i.attempt - (i.outcome in ('released', 'snoozed'))::int, i.no, i.series
  from unnest(p_items) i where i.state = 'queued' and (i.lane < 0 or i.due_at <= p_now);
  insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series, held)
  select i.queue_id, i.lane, i.priority, i.due_at, i.job_id,
    i.attempt - (i.outcome in ('released', 'snoozed'))::int, i.no, i.series, i.held
  from unnest(p_items) i where i.state = 'queued' and i.lane > 0 and i.due_at > p_now;
  -- `expire` passes by what is in hand. What comes back with its time run out must be found there, and by the claim.
  insert into outbox.expiries (at, job_id)
  select e.at, i.job_id
  from unnest(p_items) i
  cross join lateral (select least(j.expires_at, j.deadline) as at from outbox.jobs j where j.id = i.job_id offset 0) e
  where i.state = 'queued' and i.outcome in ('released', 'snoozed') and e.at <= p_now + interval '1 min'
  on conflict do nothing;
end
$$;
