-- outbox.claim(worker, limit, spots, lease) -> claimed jobs, leased to that worker; commit at once
--
-- Takes due jobs from the spots in their order, up to `limit` (1..500) in all; null looks by itself. Locks
-- gates, then lanes, then rows of `ready`, all `skip locked`: a claim never waits. The attempt is counted here,
-- so a job that kills its worker still runs out. Jobs that expired or passed their deadline are ended on
-- the way and not returned. lease: how long a worker that does not beat has them, 5 s to 1 h; what it enlisted with
-- unless given. Worker unknown or fenced: OX409; bad limit or lease: OX400.

drop function if exists outbox.claim;
create function outbox.claim(
  p_worker uuid, p_limit int, p_spots outbox.spot[] default null, p_lease interval default null
) returns setof outbox.claimed
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_worker outbox.workers := outbox.live_worker(p_worker);
  v_projects uuid[] := outbox.projects_of(v_worker);
  v_now timestamptz := outbox.clock();
  v_spots outbox.spot[];
  v_keyed int;
  v_taken outbox.ready[];
begin
  perform outbox.need_read_committed();
  if p_limit is null or p_limit not between 1 and 500 then
    perform outbox.refuse(400, 'p_limit: 1 to 500');
  end if;
  if p_lease is not null then
    if p_lease not between interval '5 s' and interval '1 h' then
      perform outbox.refuse(400, 'p_lease: 5 s to 1 h');
    end if;
    v_worker.lease_for := case when not v_worker.beats then p_lease end;
  end if;
  if v_projects is not null and p_spots is not null then
    p_spots := array(select s from unnest(p_spots) s where s.lane = 0 or exists (
      select from outbox.projects p where p.number = s.lane and p.id = any (v_projects)));
  end if;
  -- A round that met only jobs past their time has ended them: the next one sees what stood behind.
  for v_round in 1 .. 10 loop
    v_spots := outbox.claim_room(v_worker, coalesce(p_spots, outbox.own_spots(p_worker, p_limit)), v_now);
    -- A claim begins once its room was counted: what was settled before that has ended before this begins.
    v_now := outbox.clock();
    exit when cardinality(v_spots) = 0;
    -- Half of it for each kind when both wait; the odd one is drawn, or a claim of one would starve a kind.
    v_keyed := case when exists (select from unnest(v_spots) s where s.lane > 0)
      then floor(p_limit / 2.0 + random()) else p_limit end;
    v_taken := outbox.claim_lanes(v_spots, v_keyed, v_now, v_projects);
    v_taken := v_taken || outbox.claim_ready(v_spots, p_limit - cardinality(v_taken), v_now);
    if cardinality(v_taken) = 0 and v_keyed < p_limit then
      v_taken := outbox.claim_lanes(v_spots, p_limit, v_now, v_projects);
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
