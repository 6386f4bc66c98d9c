-- outbox.due_for(workers, queues) -> the numbers, from 1, of those pairs for which something is due now
--
-- Asked by a process for all claims that wait in it.

create or replace function outbox.due_for(p_workers uuid[], p_queues int[]) returns setof int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  return query
  select u.ord::int
  from unnest(p_workers, p_queues) with ordinality u(worker_id, queue_id, ord)
  join outbox.workers w on w.id = u.worker_id
  join outbox.queues q on q.id = u.queue_id
  where outbox.claims_from(w, q, v_now) and outbox.has_token(q, v_now)
    and exists (select from outbox.look_queue(q, null, 1, v_now, outbox.projects_of(w)));
end
$$;
