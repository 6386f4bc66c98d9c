-- outbox.open_gathering(group, from, to, full) -> a new gathering, with its job, for these events of the group
--
-- Due at once when it is full; with the end of its session when that is open, in 30 days at the latest; else when
-- nothing came for `quiet`, or `longest` after the first. The job may wait as long as any other from then on.

create or replace function outbox.open_gathering(p_group outbox.gathered, p_from int, p_to int, p_full boolean)
returns outbox.gatherings
language plpgsql
as $$
declare
  v_held boolean := p_group.session_open and not p_full;
  v_latest timestamptz := p_group.ats[p_from] + case when v_held then interval '30 days' else p_group.longest end;
  v_due timestamptz := case when p_full then p_group.now when v_held then v_latest
    else least(p_group.ats[p_to] + p_group.quiet, v_latest) end;
  v_deadline timestamptz := case when v_due > p_group.now then v_latest + outbox.hold() end;
  v_made outbox.gatherings;
begin
  insert into outbox.gatherings (project_id, key, job_id, session_id, events, opened_at)
  values (p_group.project_id, p_group.key, outbox.uuid7(p_group.now + p_from * interval '1 us'), p_group.session_id,
    p_to - p_from + 1, p_group.ats[p_from])
  returning * into v_made;
  insert into outbox.jobs (id, team_id, project_id, event_id, queue_id, max_attempts, run_at, deadline, session_id)
  values (v_made.job_id, p_group.team_id, p_group.project_id, p_group.events[p_from], p_group.queue_id,
    outbox.setting('generation_attempts', '8')::int, case when v_due > p_group.now then v_due end, v_deadline,
    p_group.session_id);
  if v_deadline is null then
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    values (p_group.queue_id, p_group.lane, 0, p_group.now, v_made.job_id, 0, 0, 0);
  else
    insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series, held)
    values (p_group.queue_id, p_group.lane, 0, v_due, v_made.job_id, 0, 0, 0,
      case when v_held then 'session_open' end);
    insert into outbox.expiries (at, job_id) values (v_deadline, v_made.job_id);
  end if;
  return v_made;
end
$$;
