-- outbox.has_token(queue, now) -> may a job of it be claimed by its rate? True without a rate

create or replace function outbox.has_token(p_queue outbox.queues, p_now timestamptz) returns boolean
language plpgsql stable
as $$
begin
  return p_queue.rate_per_second is null or coalesce(
    (select outbox.tokens(p_queue, g, p_now) >= 1 from outbox.gates g where g.queue_id = p_queue.id), false);
end
$$;
