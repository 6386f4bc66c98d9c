-- outbox.enlist(name, handlers, queues, options) -> (worker_id, lock_no, beat_every, dead_after)
--
-- A worker's first call. queues: names or `prefix*`, null for all. Options: host, pid, version, slots, kind
-- (daemon, pull, sql), beatSeconds (3), writes (handlers that write when they complete), open (Python handlers
-- that routes may name), liveness `lease` with leaseSeconds 5..3600: no beats, its leases carry a time limit. A login
-- that is bound to projects gets their jobs only, and only those of `pull:` handlers (OX403).

drop function if exists outbox.enlist;
create function outbox.enlist(
  p_name text, p_handlers text[], p_queues text[] default null, p_options jsonb default '{}'
) returns table (worker_id uuid, lock_no int, beat_every interval, dead_after interval)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := outbox.clock();
  v_beats boolean := coalesce(p_options ->> 'liveness', 'beat') = 'beat';
  v_daemon boolean := outbox.is_daemon();
  v_lease interval;
  v_worker outbox.workers;
  v_me outbox.caller;
begin
  if p_name is null or char_length(p_name) not between 1 and 120 or p_handlers is null
     or (p_options ->> 'beatSeconds')::numeric not between 0.05 and 10
     or (p_options ->> 'leaseSeconds')::numeric not between 5 and 3600 then
    perform outbox.refuse(400, 'enlist: name of 1 to 120 characters, handlers, beatSeconds 0.05 to 10, leaseSeconds 5 to 3600');
  end if;
  if not v_daemon then
    v_me := outbox.me();
    if not v_me.everywhere and exists (select from unnest(p_handlers) h where h not like 'pull:_%') then
      perform outbox.refuse(403, 'a login that is bound to projects works for pull: handlers only');
    end if;
  end if;
  if not v_beats then
    v_lease := make_interval(secs => coalesce((p_options ->> 'leaseSeconds')::float8, 60));
  end if;
  insert into outbox.workers (id, name, kind, host, pid, version, handlers, queues, slots, lock_no, beat_every,
    beats, lease_for, login, project_ids, writes, started_at, beat_at)
  values (outbox.uuid7(v_now), p_name,
    case when v_daemon then coalesce(p_options ->> 'kind', 'daemon') else 'sql' end,
    left(p_options ->> 'host', 255), (p_options ->> 'pid')::int, left(p_options ->> 'version', 40), p_handlers,
    p_queues, coalesce((p_options ->> 'slots')::int, 0), nextval('outbox.lock_numbers')::int,
    -- Who does not beat is heard of once a lease, or each half minute when it asks for more.
    case when v_beats then make_interval(secs => coalesce((p_options ->> 'beatSeconds')::float8, 3))
      else greatest(v_lease, interval '1 min') end, v_beats, v_lease,
    case when not v_daemon then session_user::text end, v_me.project_ids,
    array(select jsonb_array_elements_text(coalesce(p_options -> 'writes', '[]'))), v_now, v_now)
  returning * into v_worker;
  insert into outbox.handlers (name, open, declared_by, created_at)
  select h, true, 'app', v_now from jsonb_array_elements_text(coalesce(p_options -> 'open', '[]')) h
  where v_daemon
  on conflict (name) do nothing;
  return query select v_worker.id, v_worker.lock_no, v_worker.beat_every, 5 * v_worker.beat_every;
exception
  when data_exception or check_violation then
    perform outbox.refuse(400, 'enlist: ' || sqlerrm);
end
$$;
