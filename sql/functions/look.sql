-- outbox.look(worker, queue, after, limit) -> spots: where due work stands that this worker may claim
--
-- A loose index scan over the distinct (queue, lane) of `ready`, from `after` on: each share with its most
-- urgent priority and oldest due time, `want` = its weight; and one spot with lane 0 for a queue's keyed lanes.
-- What is paused, closed or unknown to this worker costs one probe, however long it is. About 2 ms per 200
-- spots; after a full page, go on from the last one.

drop function if exists outbox.look;
create function outbox.look(
  p_worker uuid, p_queue text default null, p_after outbox.spot default null, p_limit int default 200
) returns setof outbox.spot
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_worker outbox.workers := outbox.live_worker(p_worker);
  v_projects uuid[] := outbox.projects_of(v_worker);
  v_now timestamptz := outbox.clock();
  v_only int;
  v_queue outbox.queues;
  v_at int := (p_after).queue_id;
  v_lane bigint := (p_after).lane;
  v_left int := p_limit;
  v_spot outbox.spot;
begin
  if p_queue is not null then
    v_only := coalesce((select q.id from outbox.queues q where q.name = p_queue), 0);
    v_at := coalesce(v_at, v_only);
  end if;
  loop
    if v_lane is null then
      select r.queue_id into v_at from outbox.ready r where r.queue_id >= coalesce(v_at, 0)
      order by r.queue_id limit 1;
    end if;
    exit when v_at is null or v_left <= 0 or (v_only is not null and v_at <> v_only);
    select * into v_queue from outbox.queues q where q.id = v_at;
    if outbox.claims_from(v_worker, v_queue, v_now) and outbox.has_token(v_queue, v_now) then
      for v_spot in select * from outbox.look_queue(v_queue, v_lane, v_left, v_now, v_projects) loop
        return next v_spot;
        v_left := v_left - 1;
      end loop;
    end if;
    v_lane := null;
    v_at := v_at + 1;
  end loop;
end
$$;
