-- outbox.pullable(caller, queue) -> the queue, if that caller may pull from it: else OX403, unknown: OX404
--
-- Names of endpoints' queues hold ids of others: whether there is one is not told.

create or replace function outbox.pullable(p_caller outbox.caller, p_queue text) returns outbox.queues
language plpgsql stable
as $$
declare
  v_queue outbox.queues;
begin
  if p_caller.everywhere or not starts_with(p_queue, 'endpoint:') then
    v_queue := outbox.find_queue(p_queue);
    if p_caller.everywhere or v_queue.handler like 'pull:%' then
      return v_queue;
    end if;
  end if;
  perform outbox.refuse(403, 'this queue is not for workers elsewhere: its handler is ours');
end
$$;
