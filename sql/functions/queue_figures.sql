-- outbox.queue_figures(queue) -> one row of the view queue_depth, without what stands in `queues`
--
-- A function, since it has to say how it is run: compiling the view took three times as long as running it.

drop function if exists outbox.queue_figures cascade;
create function outbox.queue_figures(p_queue int)
returns table (due bigint, later bigint, held bigint, running bigint, failed bigint, capped boolean,
  oldest_due_at timestamptz, next_due_at timestamptz, workers bigint, idle_workers bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now timestamptz := outbox.clock();
  v_seen bigint;
begin
  select count(*), least(count(*) filter (where s.run_at <= v_now), 10000) into v_seen, due
  from (select r.run_at from outbox.ready r where r.queue_id = p_queue limit 10001) s;
  select count(*), least(count(s.held), 10000) into later, held
  from (select l.held from outbox.later l where l.queue_id = p_queue limit 10001) s;
  select coalesce(sum(cardinality(l.job_ids)), 0) into running from outbox.leases l where l.queue_id = p_queue;
  select count(*) into failed from (select from outbox.dead_letters d where d.queue_id = p_queue limit 10001) s;
  capped := v_seen > 10000 or later > 10000 or failed > 10000;
  later := least(later, 10000);
  failed := least(failed, 10000);
  if v_seen > 0 then
    with recursive share(lane, run_at, n) as (
      (select x.lane, x.run_at, 1 from outbox.ready x where x.queue_id = p_queue and x.lane > 0
        order by x.lane, x.priority, x.run_at limit 1)
      union all
      select y.lane, y.run_at, s.n + 1
      from share s
      cross join lateral (select x.lane, x.run_at from outbox.ready x where x.queue_id = p_queue and x.lane > s.lane
        order by x.lane, x.priority, x.run_at limit 1) y
      where s.n < 300
    )
    select least((select min(s.run_at) from share s where s.run_at <= v_now), (
      select l.due_at from outbox.lanes l
      where l.queue_id = p_queue and l.lease_id is null and l.blocked_by is null and l.due_at <= v_now
      order by l.due_at limit 1)) into oldest_due_at;
  end if;
  select l.run_at into next_due_at from outbox.later l where l.queue_id = p_queue order by l.run_at limit 1;
  select count(*), count(*) filter (where x.running = 0) into workers, idle_workers
  from outbox.queues q
  join outbox.workers x on q.handler = any (x.handlers)
  where q.id = p_queue and x.fenced_at is null and not x.draining
    and x.beat_at >= v_now - 5 * x.beat_every
    and (x.queues is null or exists (select from unnest(x.queues) u
      where u = q.name or (u like '%*' and starts_with(q.name, left(u, -1)))));
  return next;
end
$$;
