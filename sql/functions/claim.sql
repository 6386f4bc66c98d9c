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
  v_keyed int;
  v_taken outbox.ready[];
begin
  perform outbox.need_read_committed();
  if p_limit is null or p_limit not between 1 and 500 then
    perform outbox.refuse(400, 'p_limit: 1 to 500');
  end if;
  if v_spots is null then
    -- By weight, in an order that is drawn by weight: a first spot that is never empty starves nobody.
    v_spots := array(select row(s.queue_id, s.lane, s.priority, s.run_at,
        case when s.lane = 0 then p_limit
          else ceil(p_limit * s.want::numeric / sum(s.want) filter (where s.lane > 0) over ()) end)::outbox.spot
      from outbox.look(p_worker, null, null, 32) s order by -ln(1 - random()) / s.want);
  end if;
  v_spots := outbox.claim_room(v_worker, v_spots, v_now);
  -- A claim begins once its room was counted: what was settled before that has ended before this begins.
  v_now := outbox.clock();
  -- Half of it for each kind when both wait; the odd one is drawn, or a claim of one would starve a kind.
  v_keyed := case when exists (select from unnest(v_spots) s where s.lane > 0)
    then floor(p_limit / 2.0 + random()) else p_limit end;
  -- A round that met only jobs past their time has ended them: the next one sees what stood behind.
  for v_round in 1 .. 10 loop
    exit when cardinality(v_spots) = 0;
    v_taken := outbox.claim_lanes(v_spots, v_keyed, v_now);
    v_taken := v_taken || outbox.claim_ready(v_spots, p_limit - cardinality(v_taken), v_now);
    if cardinality(v_taken) = 0 and v_keyed < p_limit then
      v_taken := outbox.claim_lanes(v_spots, p_limit, v_now);
    end if;
    exit when cardinality(v_taken) = 0;
    v_taken := outbox.claim_live(v_taken, v_now);
    if cardinality(v_taken) > 0 then
      return query select * from outbox.claim_lease(v_worker, v_taken, v_now);
      exit;
    end if;
  end loop;
end
$$;
