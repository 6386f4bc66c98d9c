-- outbox.due_schedule(without) -> the schedule that is due the longest and that nobody holds, locked; or no row
--
-- Due by the database's clock. `without`: those that the caller could not fire a moment ago, so that they stand in
-- nobody's way.

drop function if exists outbox.due_schedule;
create function outbox.due_schedule(p_without uuid[] default '{}') returns setof outbox.schedules
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  perform outbox.need_read_committed();
  return query
  select s.* from outbox.schedules s
  where s.state = 'active' and s.next_at <= v_now and s.id <> all (p_without)
  order by s.next_at limit 1 for update skip locked;
end
$$;
