-- outbox.idle_sessions(limit, after, upto) -> sessions that have gone quiet and whose end is owed
--
-- Open ones without an event for the project's session.idleEndSeconds, and, of those with after < id <= upto,
-- ended ones that have events since. Looked up only, nothing is locked.

drop function if exists outbox.idle_sessions;
create function outbox.idle_sessions(p_limit int, p_after uuid, p_upto uuid)
returns table (session_id uuid, quiet_since timestamptz)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  return query
  with projects as materialized (
    select p.id, coalesce(p.purged_at, '-infinity') as purged_at,
      v_now - make_interval(secs => coalesce(outbox.project_setting(p, 'session.idleEndSeconds')::int, 3600)) as since
    from outbox.projects p where p.archived_at is null
  ), ended as materialized (
    select s, p.since from outbox.sessions s join projects p on p.id = s.project_id
    where s.id > p_after and s.id <= p_upto and s.ended_at is not null and s.created_at > p.purged_at
  )
  select t.id, t.since from (
    (select o.id, p.since from projects p
     cross join lateral (
       select s.id from outbox.sessions s
       where s.project_id = p.id and s.ended_at is null and s.created_at > p.purged_at
         and greatest(s.started_at, s.reopened_at) < p.since
         and not exists (select from outbox.events e
           where e.session_id = s.id and e.id >= outbox.uuid7_floor(p.since) offset 0)
       limit p_limit offset 0) o
     where p.since < v_now limit p_limit)
    union all
    (select (e.s).id, e.since from ended e
     cross join lateral (select x.* from outbox.session_events((e.s).id) x offset 0) x
     where e.since < v_now and outbox.session_moved(e.s, x.events, x.newest)
       and not exists (select from outbox.events v
         where v.session_id = (e.s).id and v.id >= outbox.uuid7_floor(e.since) offset 0)
     limit p_limit)) t
  limit p_limit;
end
$$;
