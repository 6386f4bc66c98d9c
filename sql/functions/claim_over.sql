-- outbox.claim_over(rows, now) -> those that may not start any more, with the end they get
--
-- Not started by expires_at: cancelled, class `expired`. Past its deadline: failed, class `deadline`.

create or replace function outbox.claim_over(p_rows outbox.ready[], p_now timestamptz) returns outbox.settling[]
language plpgsql
as $$
declare
  v_hold interval := outbox.hold();
  v_over outbox.settling[];
begin
  select array_agg(row(0, null, null, r.job_id, r.queue_id, r.lane, r.priority, r.run_at, r.no + 1, r.attempt,
    r.series, null, case when j.expired then 'cancelled' else 'failed' end, null,
    case when j.expired then 'expired' else 'deadline' end, null, null, null, null, null, true, null, null, null,
    case when j.expired then 'cancelled' else 'failed' end, null)::outbox.settling)
  into v_over
  from unnest(p_rows) r
  cross join lateral (
    select coalesce(j.expires_at <= p_now, false) as expired,
      coalesce(j.deadline, outbox.uuid7_time(j.id) + v_hold) <= p_now as late
    from outbox.jobs j where j.id = r.job_id offset 0) j
  where j.expired or j.late;
  return coalesce(v_over, '{}');
end
$$;
