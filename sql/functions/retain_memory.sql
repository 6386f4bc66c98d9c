-- outbox.retain_memory(limit) -> how many memories went and how many events were blanked by their projects' retention
--
-- Of `retention.memoryDays` and `retention.eventDays`; 0 keeps. Events of those who keep them the longest are not looked
-- at: they go with their partition. Nobody is told: it was said beforehand.

drop function if exists outbox.retain_memory;
create function outbox.retain_memory(p_limit int) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_longest interval := outbox.longest_kept();
  v_project record;
  v_done int := 0;
  v_gone int;
begin
  for v_project in
    select p.id, make_interval(days => (outbox.project_setting(p, 'retention.memoryDays'))::int) as memories,
      make_interval(days => (outbox.project_setting(p, 'retention.eventDays'))::int) as events
    from outbox.projects p order by p.id
  loop
    exit when v_done >= p_limit;
    if v_project.memories > interval '0' then
      delete from outbox.observations o where o.ctid = any (array(
        select x.ctid from outbox.observations x
        where x.project_id = v_project.id and x.created_at < v_now - v_project.memories
        order by x.created_at, x.id limit p_limit - v_done for update skip locked));
      get diagnostics v_gone = row_count;
      v_done := v_done + v_gone;
    end if;
    if v_project.events > interval '0' and coalesce(v_project.events < v_longest, true) and v_done < p_limit then
      v_done := v_done + outbox.retain_events(v_project.id, v_now - v_project.events, p_limit - v_done);
      v_done := v_done + outbox.retain_feed(v_project.id, v_now - v_project.events, greatest(p_limit - v_done, 1));
    end if;
  end loop;
  return v_done;
end
$$;
