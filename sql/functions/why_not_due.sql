-- outbox.why_not_due(job) -> (weight, reason, detail, until): its time is still to come, or its place in a lane is

drop function if exists outbox.why_not_due;
create function outbox.why_not_due(p_job outbox.jobs)
returns table (weight numeric, reason text, detail text, until timestamptz)
language plpgsql stable
as $$
declare
  v_now timestamptz := outbox.clock();
  v_at record;
  v_lane outbox.lanes;
  v_due timestamptz;
begin
  select * into v_at from outbox.job_state(p_job.id);
  if v_at.state <> 'queued' then
    return;
  elsif v_at.place = 'none' then
    return query select 3.0, 'not_numbered', coalesce(
      (select 'its event waits for the sequencer for ' || date_trunc('milliseconds', v_now - p.at)
        from outbox.pending p where p.event_id = p_job.event_id),
      'its event is numbered; its place in the lane is still to come'), null::timestamptz;
    return;
  end if;
  select * into v_lane from outbox.lanes l where l.id = v_at.lane and l.lease_id is null and l.blocked_by is null
    and p_job.id = (select r.job_id from outbox.ready r where r.queue_id = l.queue_id and r.lane = l.id
      order by r.priority, r.run_at, r.job_id limit 1);
  v_due := coalesce(v_lane.due_at, v_at.run_at);
  if v_due > v_now then
    return query select 2.0, 'not_due', case
      when coalesce(v_lane.held, v_at.held) = 'snoozed' then 'snoozed until ' || v_due
      when coalesce(v_lane.held, v_at.held) is not null then
        format('held: %s, until %s', coalesce(v_lane.held, v_at.held), v_due)
      when v_at.outcome in ('failed', 'timed_out', 'lost') then format('retry after failure %s (%s) at %s',
        v_at.attempt, coalesce(v_at.class, v_at.outcome), v_due)
      when v_at.outcome = 'snoozed' then 'snoozed until ' || v_due
      else 'scheduled for ' || v_due end, v_due;
  end if;
end
$$;
