-- outbox.job_of(payload, options, now) -> the body of a direct job; OX400 names the option that is wrong

create or replace function outbox.job_of(p_payload jsonb, p_options jsonb, p_now timestamptz) returns outbox.jobs
language plpgsql
as $$
declare
  v_job outbox.jobs;
  v_name text;
  v_known constant text[] := '{handler,priority,runAt,maxAttempts,timeoutMs,deadline,expiresAt,uniqueKey,'
    'uniqueUntil,onDuplicate,traceparent,watched}';
begin
  if p_options is null or jsonb_typeof(p_options) <> 'object' then
    perform outbox.refuse(400, 'p_options: an object');
  end if;
  for v_name in select k from jsonb_object_keys(p_options) k where not k = any (v_known) order by k limit 1 loop
    perform outbox.refuse(400, case when v_name = 'orderingKey'
      then 'direct jobs have no orderingKey: publish an event instead' else 'unknown option ' || v_name end);
  end loop;
  if octet_length(p_payload::text) > 1048576 then
    perform outbox.refuse(413, 'p_payload: at most 1 MiB');
  end if;
  v_job.id := outbox.uuid7(p_now);
  v_job.payload := coalesce(p_payload, '{}');
  v_job.priority := coalesce((p_options ->> 'priority')::int, 0);
  v_job.max_attempts := (p_options ->> 'maxAttempts')::int;
  v_job.timeout := make_interval(secs => (p_options ->> 'timeoutMs')::bigint / 1000.0);
  v_job.run_at := nullif(greatest((p_options ->> 'runAt')::timestamptz, p_now), p_now);
  v_job.deadline := coalesce((p_options ->> 'deadline')::timestamptz, v_job.run_at + outbox.hold());
  v_job.expires_at := (p_options ->> 'expiresAt')::timestamptz;
  v_job.unique_key := p_options ->> 'uniqueKey';
  v_job.unique_until := case when v_job.unique_key is not null
    then coalesce(p_options ->> 'uniqueUntil', 'ended') end;
  v_job.traceparent := p_options ->> 'traceparent';
  v_job.watched := coalesce((p_options ->> 'watched')::boolean, false);
  perform outbox.check_job(v_job, p_options, p_now);
  return v_job;
exception
  when data_exception then
    perform outbox.refuse(400, 'p_options: ' || sqlerrm);
end
$$;
