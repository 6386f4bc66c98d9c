-- outbox.hire(caller, name, queue, limit, lease) -> (worker_id, queue_id, handler, paused): a worker with a key
--
-- Whoever comes over HTTP is its key and its name; the row is made the first time. Unknown queue: OX404. Only
-- `pull:` queues but for an operator's key, else OX403. More than 1,000 of a team that live: OX409. paused: the
-- queue, or the only share that the key sees.

drop function if exists outbox.hire;
create function outbox.hire(p_caller outbox.caller, p_name text, p_queue text, p_limit int, p_lease interval)
returns table (worker_id uuid, queue_id int, handler text, paused boolean)
language plpgsql
set jit = off set enable_seqscan = off
as $$
declare
  v_now timestamptz := outbox.clock();
  v_queue outbox.queues;
  v_worker outbox.workers;
begin
  v_queue := outbox.pullable(p_caller, p_queue);
  select * into v_worker from outbox.workers w
  where w.key_id = p_caller.key_id and w.name = p_name and w.kind = 'pull';
  if v_worker.id is null or v_worker.beat_at < v_now - 5 * v_worker.beat_every then
    perform outbox.make_room(p_caller.team_id, v_now);
  end if;
  -- Written only when it tells something new: a row that is locked holds up nobody's claim.
  if v_worker.id is null or v_worker.beat_at <= v_now - v_worker.beat_every / 12 or v_worker.slots < p_limit
     or v_worker.lease_for <> p_lease or not p_queue = any (v_worker.queues) then
    insert into outbox.workers as w (id, name, kind, handlers, queues, slots, team_id, project_id, key_id, lock_no,
      beat_every, beats, lease_for, started_at, beat_at)
    values (outbox.uuid7(v_now), p_name, 'pull', array[v_queue.handler], array[p_queue], p_limit, p_caller.team_id,
      p_caller.project_ids[1], p_caller.key_id, 0, greatest(p_lease, interval '1 min'), false, p_lease, v_now, v_now)
    on conflict (key_id, name) where kind = 'pull' do update set beat_at = v_now, lease_for = p_lease,
      beat_every = greatest(p_lease, interval '1 min'), slots = greatest(w.slots, p_limit),
      -- Of the last hundred queues.
      queues = (array_remove(w.queues, p_queue) || p_queue)[greatest(1, cardinality(w.queues) - 98):],
      handlers = (array_remove(w.handlers, v_queue.handler) || v_queue.handler)[greatest(1, cardinality(w.handlers) - 98):],
      cancelled = case when exists (select from outbox.leases l where l.worker_id = w.id) then w.cancelled else '{}' end
    returning * into v_worker;
  end if;
  return query select v_worker.id, v_queue.id, v_queue.handler,
    not outbox.claims_from(v_worker, v_queue, v_now)
      or coalesce(p_caller.project_ids <@ outbox.paused_shares(v_queue.id, v_now), false);
end
$$;
