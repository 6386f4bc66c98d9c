-- outbox.pullable(caller, queue) -> the queue, if that caller may pull from it: else OX403, unknown: OX404
--
-- Queues are the server's, but one that another team has made, in which nothing of the caller's ever was, is as
-- unknown as one that nobody has made. Names of endpoints' queues hold ids: whether there is one is not told.

create or replace function outbox.pullable(p_caller outbox.caller, p_queue text) returns outbox.queues
language plpgsql stable
set jit = off set enable_seqscan = off
as $$
declare
  v_queue outbox.queues;
begin
  if p_caller.everywhere or not starts_with(p_queue, 'endpoint:') then
    v_queue := outbox.find_queue(p_queue);
    if p_caller.everywhere then
      return v_queue;
    elsif not outbox.uses_queue(p_caller.team_id, v_queue) then
      perform outbox.refuse(404, 'Queue not found');
    elsif v_queue.handler like 'pull:%' then
      return v_queue;
    end if;
  end if;
  perform outbox.refuse(403, 'this queue is not for workers elsewhere: its handler is ours');
end
$$;
