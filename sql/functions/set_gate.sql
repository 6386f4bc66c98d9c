-- outbox.set_gate(old, new): the row that claims of a limited queue lock, there exactly while it has a limit
--
-- A new rate starts with a full bucket; a changed one keeps what is in it, cut to the new burst.

create or replace function outbox.set_gate(p_old outbox.queues, p_new outbox.queues) returns void
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  if p_new.concurrency is null and p_new.rate_per_second is null then
    delete from outbox.gates g where g.queue_id = p_new.id;
    return;
  end if;
  insert into outbox.gates as g (queue_id, tokens, filled_at)
  values (p_new.id, coalesce(p_new.rate_burst, 0), v_now)
  on conflict (queue_id) do update set filled_at = v_now,
    tokens = coalesce(least(outbox.tokens(p_old, g, v_now), p_new.rate_burst), p_new.rate_burst, 0);
end
$$;
