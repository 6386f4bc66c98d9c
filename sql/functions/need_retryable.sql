-- outbox.need_retryable(job, state, place): OX409 where a retry is refused, in the words of http-api.md §6

create or replace function outbox.need_retryable(p_job outbox.jobs, p_state text, p_place text) returns void
language plpgsql
as $$
begin
  if p_state = 'processing' then
    perform outbox.refuse(409,
      'Generation job is currently processing; cancel or wait for completion before retrying');
  elsif p_state = 'completed' then
    perform outbox.refuse(409, case
      when exists (select from outbox.queues q where q.id = p_job.queue_id and q.handler in ('observe', 'summarize'))
      then 'Generation job already completed; retrying would duplicate observations' else 'Job already completed' end);
  elsif p_state = 'failed' and p_place = 'none' then
    perform outbox.refuse(409, 'The dead letter was purged; it cannot be retried');
  end if;
end
$$;
