-- outbox.due_queues(worker, now) -> ids of the queues from which it could claim now
--
-- A loose scan over the distinct queues of `ready`: one probe a queue.

create or replace function outbox.due_queues(p_worker uuid, p_now timestamptz) returns int[]
language plpgsql
as $$
declare
  v_due int[] := '{}';
  v_spot outbox.spot;
  v_queue int := 0;
begin
  loop
    select r.queue_id into v_queue from outbox.ready r where r.queue_id > v_queue order by r.queue_id limit 1;
    exit when v_queue is null;
    for v_spot in
      select s.* from outbox.workers w
      join outbox.queues q on q.id = v_queue and outbox.claims_from(w, q, p_now) and outbox.has_token(q, p_now)
      cross join lateral outbox.look_queue(q, null, 1, p_now, outbox.projects_of(w)) s
      where w.id = p_worker and w.fenced_at is null
    loop
      v_due := v_due || v_queue;
    end loop;
  end loop;
  return v_due;
end
$$;
