-- outbox.stage(limit, hint) -> (queue, handler, n): due jobs moved from `later` to `ready`
--
-- hint: the lowest due time seen by the last run, less a margin, so that rows which are dead but kept by an old
-- snapshot are not waded through; null looks from the beginning.

drop function if exists outbox.stage;
create function outbox.stage(p_limit int default 1000, p_hint timestamptz default null)
returns table (queue text, handler text, n int)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  return query
  with due as (
    delete from outbox.later d where d.ctid = any (array(
      select l.ctid from outbox.later l
      where l.run_at <= v_now and l.run_at >= coalesce(p_hint, '-infinity')
      order by l.run_at, l.job_id limit p_limit for update skip locked))
    returning d.*
  ), moved as (
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select d.queue_id, d.lane, d.priority, d.run_at, d.job_id, d.attempt, d.no, d.series from due d
  )
  select q.name, q.handler, count(*)::int from due d join outbox.queues q on q.id = d.queue_id
  group by q.name, q.handler;
end
$$;
