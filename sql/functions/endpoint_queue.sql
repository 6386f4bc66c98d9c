-- outbox.endpoint_queue(queue, settings): the settings of the queue that an endpoint's deliveries wait in

create or replace function outbox.endpoint_queue(p_queue int, p_settings jsonb) returns void
language plpgsql
as $$
declare
  v_old outbox.queues;
  v_new outbox.queues;
begin
  select * into v_old from outbox.queues q where q.id = p_queue for update;
  v_new := outbox.queue_settings(v_old, p_settings);
  update outbox.queues q set concurrency = v_new.concurrency, rate_per_second = v_new.rate_per_second,
    rate_burst = v_new.rate_burst, attempts = v_new.attempts, backoff = v_new.backoff, timeout = v_new.timeout,
    on_dead = v_new.on_dead, paused = coalesce((p_settings ->> 'paused')::boolean, v_old.paused)
  where q.id = p_queue;
  perform outbox.set_gate(v_old, v_new);
end
$$;
