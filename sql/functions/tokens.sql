-- outbox.tokens(queue, gate, now) -> what the queue's token bucket holds now; null without a rate

create or replace function outbox.tokens(p_queue outbox.queues, p_gate outbox.gates, p_now timestamptz)
returns double precision
language sql immutable
as $$
  select least((p_queue).rate_burst::float8, (p_gate).tokens
    + (p_queue).rate_per_second::float8 * greatest(extract(epoch from p_now - (p_gate).filled_at)::float8, 0))
$$;
