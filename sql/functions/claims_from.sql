-- outbox.claims_from(worker, queue, now) -> may that worker claim from that queue now?
--
-- Knows its handler, subscribes to its name (exact, or `prefix*`), and the queue is neither paused nor closed.

create or replace function outbox.claims_from(p_worker outbox.workers, p_queue outbox.queues, p_now timestamptz)
returns boolean
language sql stable
as $$
  select (p_queue).handler = any ((p_worker).handlers)
    and ((p_worker).queues is null or (p_queue).name = any ((p_worker).queues)
      or exists (select from unnest((p_worker).queues) x
        where x like '%*' and starts_with((p_queue).name, left(x, -1))))
    and not ((p_queue).paused and ((p_queue).paused_until is null or (p_queue).paused_until > p_now))
    and ((p_queue).closed_until is null or (p_queue).closed_until <= p_now)
$$;
