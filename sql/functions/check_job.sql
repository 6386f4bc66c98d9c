-- outbox.check_job(job, options, now): raises OX400 for a direct job's value that is out of its range

create or replace function outbox.check_job(p_job outbox.jobs, p_options jsonb, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_due timestamptz := coalesce(p_job.run_at, p_now);
  v_wrong text := case
    when p_job.priority not between -100 and 100 then 'priority: -100 to 100'
    when p_job.max_attempts not between 1 and 100 then 'maxAttempts: 1 to 100'
    when p_job.timeout not between interval '1 s' and interval '24 h' then 'timeoutMs: 1,000 to 86,400,000'
    when not isfinite(v_due) or v_due > p_now + interval '366 days' then 'runAt: at most 366 days ahead'
    when p_job.deadline <= v_due or not isfinite(p_job.deadline) then 'deadline: later than runAt'
    when p_job.expires_at <= v_due or not isfinite(p_job.expires_at) then 'expiresAt: later than runAt'
    when char_length(p_job.unique_key) not between 1 and 255 then 'uniqueKey: 1 to 255 characters'
    when p_job.unique_until not in ('ended', 'started') then 'uniqueUntil: ended or started'
    when p_options ->> 'onDuplicate' <> 'keep' then 'onDuplicate: keep'
  end;
begin
  if v_wrong is not null then
    perform outbox.refuse(400, v_wrong);
  end if;
end
$$;
