-- outbox.poll(worker) -> what there is to do, for every loop of a process, in one statement
--
-- due_queues: queues with due work that this worker may claim (null worker: any); next_due: the least of what
-- becomes due by itself (later, lanes, tokens, pauses and closings that end); pending, unplaced: the sequencer's;
-- leases_open; to_reap: a lease or worker looks dead; upkeep: chores that have something to do, so that those which
-- have not cost nothing, and `handlers` when one was declared that the worker does not know; next_tick: the least of
-- all schedules, also one that is due. A worker that is bound to projects is told due_queues and nothing else; one of
-- another login is OX409.

drop function if exists outbox.poll;
create function outbox.poll(p_worker uuid default null)
returns table (due_queues int[], next_due timestamptz, pending boolean, unplaced boolean, leases_open boolean,
  to_reap boolean, to_stage boolean, upkeep text[], next_tick timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  if session_user <> current_user and not outbox.is_daemon()
     and outbox.projects_of(outbox.live_worker(p_worker)) is not null then
    return query select outbox.due_queues(p_worker, v_now), null::timestamptz, false, false, false, false, false,
      '{}'::text[], null::timestamptz;
    return;
  end if;
  due_queues := case when p_worker is null then '{}' else outbox.due_queues(p_worker, v_now) end;
  next_due := (select least(
    (select l.run_at from outbox.later l order by l.run_at limit 1),
    (select min(n.due_at) from outbox.queues q cross join lateral (
      select l.due_at from outbox.lanes l where l.queue_id = q.id and l.lease_id is null and l.blocked_by is null
        and l.due_at > v_now order by l.due_at limit 1) n),
    (select min(q.paused_until) from outbox.queues q where q.paused and q.paused_until > v_now),
    (select min(q.closed_until) from outbox.queues q where q.closed_until > v_now),
    (select min(s.paused_until) from outbox.shares s where s.paused and s.paused_until > v_now),
    (select min(g.filled_at + make_interval(secs => greatest(1 - g.tokens, 0) / q.rate_per_second::float8))
      from outbox.gates g join outbox.queues q on q.id = g.queue_id
      where q.rate_per_second is not null and outbox.tokens(q, g, v_now) < 1)));
  pending := exists (select from outbox.pending);
  unplaced := exists (select from outbox.unplaced);
  leases_open := exists (select from outbox.leases);
  to_reap := exists (select from outbox.leases l where l.deadline_at <= v_now
      or not exists (select from outbox.workers w where w.id = l.worker_id and w.fenced_at is null))
    or exists (select from outbox.workers w where w.beats and w.fenced_at is null
      and w.beat_at < v_now - w.beat_every * 4 / 3);
  to_stage := next_due is not null and exists (select from outbox.later l where l.run_at <= v_now);
  upkeep := array_remove(array[
    case when exists (select from outbox.expiries e where e.at <= v_now)
      or exists (select from outbox.event_keys k where k.expires_at <= v_now)
      or exists (select from outbox.idempotency i where i.expires_at <= v_now)
      or exists (select from outbox.stream_tokens t where t.expires_at <= v_now)
      or exists (select from outbox.endpoint_secrets s where s.expires_at <= v_now) then 'expire' end,
    case when exists (select from outbox.interactions i where i.state = 'pending' and i.expires_at <= v_now)
      then 'interactions' end,
    case when exists (select from outbox.purges p where p.step < 5) then 'purge' end,
    case when exists (select from outbox.endpoint_ends) then 'endpoints' end,
    case when exists (select from outbox.sessions) then 'sessions_idle' end,
    case when exists (select from outbox.handlers h cross join outbox.workers w
      where h.name like 'sql:%' and w.id = p_worker and not h.name = any (w.handlers)) then 'handlers' end], null);
  next_tick := (select s.next_at from outbox.schedules s where s.state = 'active' and s.next_at is not null
    order by s.next_at limit 1);
  return next;
end
$$;
