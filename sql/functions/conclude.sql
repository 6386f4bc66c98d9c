-- outbox.conclude(items, now): moves jobs out of their leases to where `decide` says, and writes the ledger
--
-- Called with the lease rows locked (or for jobs that were taken out of `ready`, with no lease at all). Lanes
-- are locked after leases, in one order. Everything a settled job leaves behind happens here and only here.

create or replace function outbox.conclude(p_items outbox.settling[], p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_ended uuid[];
begin
  if coalesce(cardinality(p_items), 0) = 0 then
    return;
  end if;
  insert into outbox.attempts (job_id, no, attempt, series, outcome, lease_id, worker_id, started_at, at, ms,
    waited_ms, class, status, error, retry_at, output, detail, actor, key_id)
  select i.job_id, i.no, i.attempt, i.series, i.outcome, i.lease_id, i.worker_id, i.started_at, p_now,
    coalesce(i.ms, extract(epoch from p_now - i.started_at) * 1000),
    extract(epoch from i.started_at - i.run_at) * 1000, i.class, i.status, i.error, i.due_at, i.output, i.detail,
    i.actor, i.key_id
  from unnest(p_items) i;

  perform outbox.close_leases(p_items);
  perform outbox.requeue(p_items, p_now);

  insert into outbox.dead_letters (job_id, team_id, project_id, queue_id, failed_at, place, attempt, no, series,
    status, class, error)
  select i.job_id, j.team_id, j.project_id, i.queue_id, p_now, i.run_at, i.attempt, i.no, i.series, i.status,
    i.class, i.error
  from unnest(p_items) i
  cross join lateral (select j.team_id, j.project_id from outbox.jobs j where j.id = i.job_id offset 0) j
  where i.state = 'failed';

  if exists (select from unnest(p_items) i where i.state = 'failed') then
    perform outbox.tell_dead(p_items);
  end if;

  v_ended := array(select i.job_id from unnest(p_items) i where i.state <> 'queued');
  if cardinality(v_ended) > 0 then
    perform outbox.clear_job(v_ended);
  end if;
  if exists (select from unnest(p_items) i where i.lane < 0) then
    perform outbox.move_lanes(p_items, p_now);
  end if;
end
$$;
