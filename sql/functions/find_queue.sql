-- outbox.find_queue(name) -> the queue of that name; OX404 when there is none

create or replace function outbox.find_queue(p_name text) returns outbox.queues
language plpgsql stable
as $$
declare
  v_queue outbox.queues;
begin
  select * into v_queue from outbox.queues q where q.name = p_name;
  if v_queue.id is null then
    perform outbox.refuse(404, 'Queue not found');
  end if;
  return v_queue;
end
$$;
