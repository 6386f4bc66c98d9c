-- outbox.claim(worker, limit, spots) -> claimed jobs, leased to that worker; commit at once
--
-- Takes due jobs from the spots in their order, up to `limit` (1..500) in all; null looks by itself. Locks
-- gates, then lanes, then rows of `ready`, all `skip locked`: a claim never waits. The attempt is counted here,
-- so a job that kills its worker still runs out. Jobs that expired or passed their deadline are ended on
-- the way and not returned. Worker unknown or fenced: OX409; bad limit: OX400.

drop function if exists outbox.claim;
create function outbox.claim(p_worker uuid, p_limit int, p_spots outbox.spot[] default null)
returns setof outbox.claimed
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_worker outbox.workers := outbox.live_worker(p_worker);
  v_now timestamptz := outbox.clock();
  v_spots outbox.spot[] := p_spots;
  v_taken outbox.ready[];
begin
  perform outbox.need_read_committed();
  if p_limit is null or p_limit not between 1 and 500 then
    perform outbox.refuse(400, 'p_limit: 1 to 500');
  end if;
  if v_spots is null then
    v_spots := array(select row(s.queue_id, s.lane, s.priority, s.run_at, p_limit)::outbox.spot
      from outbox.look(p_worker, null, null, 32) s);
  end if;
  v_spots := outbox.claim_room(v_worker, v_spots, v_now);
  -- A round that met only jobs past their time has ended them: the next one sees what stood behind.
  for v_round in 1 .. 10 loop
    exit when cardinality(v_spots) = 0;
    v_taken := outbox.claim_lanes(v_spots, p_limit, v_now);
    v_taken := v_taken || outbox.claim_ready(v_spots, p_limit - cardinality(v_taken), v_now);
    exit when cardinality(v_taken) = 0;
    v_taken := outbox.claim_live(v_taken, v_now);
    if cardinality(v_taken) > 0 then
      return query select * from outbox.claim_lease(v_worker, v_taken, v_now);
      exit;
    end if;
  end loop;
end
$$;
