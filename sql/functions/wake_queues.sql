-- outbox.wake_queues(queues): hints that something may be claimed there, at the commit of this transaction
--
-- For the rare verbs of operators. A producer's transaction must not hold a NOTIFY: `wake_gated`.

create or replace function outbox.wake_queues(p_queues int[]) returns void
language plpgsql
as $$
begin
  perform pg_notify('outbox_wake', 'q:' || q.name)
  from outbox.queues q where q.id = any (array(select distinct u from unnest(p_queues) u));
end
$$;
