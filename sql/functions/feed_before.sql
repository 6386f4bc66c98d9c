-- outbox.feed_before(project, at) -> the last number of its feed that was given before then; its floor if there is none
--
-- Numbers and their times rise together, so it is found by halving.

drop function if exists outbox.feed_before;
create function outbox.feed_before(p_project uuid, p_at timestamptz) returns bigint
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_below bigint;
  v_above bigint;
  v_middle bigint;
  v_seq bigint;
  v_at timestamptz;
begin
  select s.floor, s.head + 1 into v_below, v_above from outbox.streams s where s.project_id = p_project;
  while v_above - v_below > 1 loop
    v_middle := (v_below + v_above) / 2;
    select f.seq, f.sequenced_at into v_seq, v_at from outbox.feed f
    where f.project_id = p_project and f.seq >= v_middle and f.seq < v_above order by f.seq limit 1;
    if v_seq is null or v_at >= p_at then
      v_above := v_middle;
    else
      v_below := v_seq;
    end if;
  end loop;
  return v_below;
end
$$;
