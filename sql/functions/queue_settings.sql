-- outbox.queue_settings(queue, settings) -> the queue with what the settings say; a null is the default again

create or replace function outbox.queue_settings(p_queue outbox.queues, p_settings jsonb) returns outbox.queues
language plpgsql
as $$
declare
  v_new outbox.queues := p_queue;
  v_fresh jsonb := '{"leaseSize": 50, "attempts": 12, "backoff": {"baseMs": 5000, "capMs": 3600000}, '
    '"timeoutMs": 300000, "onDead": "advance"}';
  v_all jsonb := v_fresh || jsonb_strip_nulls(p_settings);
begin
  if p_settings ? 'concurrency' then v_new.concurrency := v_all ->> 'concurrency'; end if;
  if p_settings ? 'perWorker' then v_new.per_worker := v_all ->> 'perWorker'; end if;
  if p_settings ? 'leaseSize' then v_new.lease_size := v_all ->> 'leaseSize'; end if;
  if p_settings ? 'attempts' then v_new.attempts := v_all ->> 'attempts'; end if;
  if p_settings ? 'backoff' then v_new.backoff := v_all -> 'backoff'; end if;
  if p_settings ? 'onDead' then v_new.on_dead := v_all ->> 'onDead'; end if;
  if p_settings ? 'timeoutMs' then
    v_new.timeout := make_interval(secs => (v_all ->> 'timeoutMs')::bigint / 1000.0);
  end if;
  if p_settings ? 'rate' then
    v_new.rate_per_second := v_all -> 'rate' ->> 'perSecond';
    v_new.rate_burst := v_all -> 'rate' ->> 'burst';
  end if;
  return v_new;
end
$$;
