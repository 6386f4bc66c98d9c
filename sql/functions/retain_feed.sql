-- outbox.retain_feed(project, before, limit) -> how many rows of its feed, numbered before, are gone
--
-- The floor rises in the same transaction: who was below it is told `expired`. What waits to be placed stays.

drop function if exists outbox.retain_feed;
create function outbox.retain_feed(p_project uuid, p_before timestamptz, p_limit int) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_last bigint;
  v_gone int;
begin
  select max(x.seq) into v_last
  from (select f.seq, f.sequenced_at from outbox.feed f where f.project_id = p_project order by f.seq limit p_limit) x
  where x.sequenced_at < p_before;
  select least(v_last, min(u.first_seq) - 1) into v_last from outbox.unplaced u where u.project_id = p_project;
  if v_last is null then
    return 0;
  end if;
  update outbox.streams s set floor = greatest(s.floor, v_last) where s.project_id = p_project;
  delete from outbox.feed f where f.project_id = p_project and f.seq <= v_last;
  get diagnostics v_gone = row_count;
  return v_gone;
end
$$;
