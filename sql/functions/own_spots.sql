-- outbox.own_spots(worker, limit, queue) -> where a claim of that many starts that names no spots itself
--
-- By weight, in an order that is drawn by weight: a first spot that is never empty starves nobody. At most 32. queue: null
-- for all that the worker knows.

drop function if exists outbox.own_spots;
create function outbox.own_spots(p_worker uuid, p_limit int, p_queue text default null) returns outbox.spot[]
language plpgsql
as $$
begin
  return array(
    select row(s.queue_id, s.lane, s.priority, s.run_at, case when s.lane = 0 then p_limit
      else ceil(p_limit * s.want::numeric / sum(s.want) filter (where s.lane > 0) over ()) end)::outbox.spot
    from outbox.look(p_worker, p_queue, null, 32) s order by -ln(1 - random()) / s.want);
end
$$;
