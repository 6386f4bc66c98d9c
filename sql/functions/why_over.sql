-- outbox.why_over(job, state) -> (weight, reason, detail, until): it ended, or is a dead letter

drop function if exists outbox.why_over;
create function outbox.why_over(p_job outbox.jobs, p_state text)
returns table (weight numeric, reason text, detail text, until timestamptz)
language plpgsql stable
as $$
begin
  return query
  select 1.0, 'ended', concat_ws(', ', p_state || ' at ' || a.at, 'outcome ' || a.outcome, 'class ' || a.class,
    a.error), null::timestamptz
  from outbox.attempts a
  where a.job_id = p_job.id and p_state in ('completed', 'cancelled')
    and a.no = (select max(x.no) from outbox.attempts x where x.job_id = p_job.id)
  union all
  select 1.0, 'dead', concat_ws(', ', 'class ' || coalesce(d.class, 'unknown'), d.attempt || ' attempts',
    'since ' || d.failed_at, case when coalesce(p_job.deadline, outbox.uuid7_time(p_job.id) + outbox.hold())
      <= outbox.clock() then 'past its deadline: a retry would fail at once' else 'may be retried' end),
    null::timestamptz
  from outbox.dead_letters d where d.job_id = p_job.id
  union all
  select 1.0, 'dead', 'purged at ' || a.at || ', may not be retried', null::timestamptz
  from outbox.attempts a
  where a.job_id = p_job.id and p_state = 'failed' and a.outcome = 'purged';
end
$$;
