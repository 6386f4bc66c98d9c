-- outbox.purge_events(purge, limit) -> (done, upto): the next events blanked, in the order of their ids
--
-- An id's time is that of a process that may be a little ahead: an hour is looked at beyond the mark.

drop function if exists outbox.purge_events;
create function outbox.purge_events(p_purge outbox.purges, p_limit int, out done int, out upto uuid)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_last uuid := outbox.uuid7_floor(p_purge.mark + interval '1 hour');
  v_seen uuid[] := array(
    select e.id from outbox.events e
    where e.project_id = p_purge.project_id and e.id > p_purge.upto and e.id < v_last order by e.id limit p_limit);
begin
  done := outbox.blank_events(array(
    select e.id from unnest(v_seen) u (id)
    cross join lateral (select e.id, e.received_at from outbox.events e where e.id = u.id offset 0) e
    where e.received_at <= p_purge.mark), true, outbox.clock());
  upto := case when cardinality(v_seen) = p_limit then v_seen[p_limit] end;
end
$$;
