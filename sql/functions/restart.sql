-- outbox.restart(caller, items, rate, from, now, reason) -> the items with due time and lane; a series begins
--
-- Writes the ledger row, which carries the caller's authority for what follows, takes unique keys back, and
-- queues the unkeyed. What another retry of the same job wrote first is left out. Keyed jobs are the caller's to
-- place.

create or replace function outbox.restart(
  p_caller outbox.caller, p_items outbox.settling[], p_rate numeric, p_from int, p_now timestamptz, p_reason text
) returns outbox.settling[]
language plpgsql
as $$
declare
  v_items outbox.settling[];
begin
  v_items := outbox.stagger(p_items, p_rate, p_from, p_now);
  with written as (
    insert into outbox.attempts (job_id, no, attempt, series, outcome, at, retry_at, error, actor, key_id)
    select i.job_id, i.no, 0, i.series + 1, 'retried', p_now, i.due_at, p_reason, p_caller.actor, p_caller.key_id
    from unnest(v_items) i order by i.job_id
    on conflict do nothing
    returning attempts.job_id
  )
  select coalesce(array_agg(i order by i.due_at, i.job_id), '{}') into v_items
  from unnest(v_items) i join written w on w.job_id = i.job_id;
  perform outbox.retake_keys(array(select i.job_id from unnest(v_items) i));

  insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
  select i.queue_id, i.lane, i.priority, i.due_at, i.job_id, 0, i.no, i.series + 1
  from unnest(v_items) i where i.lane > 0 and i.due_at <= p_now;
  insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series)
  select i.queue_id, i.lane, i.priority, i.due_at, i.job_id, 0, i.no, i.series + 1
  from unnest(v_items) i where i.lane > 0 and i.due_at > p_now;
  insert into outbox.expiries (at, job_id)
  select least(j.expires_at, j.deadline), j.id from unnest(v_items) i
  cross join lateral (select j.id, j.expires_at, j.deadline from outbox.jobs j where j.id = i.job_id offset 0) j
  where j.expires_at is not null or j.deadline is not null
  on conflict do nothing;
  return v_items;
end
$$;
