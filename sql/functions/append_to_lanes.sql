-- outbox.append_to_lanes(project, jobs) -> (queue, handler, n): queues of which a lane became due
--
-- Opens or locks the lanes in one order and puts each job behind the last place of its lane. The k-th new job
-- of a lane stands at k µs after the greater of the last place and every due time before it.

create or replace function outbox.append_to_lanes(p_project uuid, p_jobs outbox.placeable[])
returns table (queue text, handler text, n int)
language plpgsql
as $$
declare
  v_fresh bigint[];
begin
  with wanted as (
    select distinct j.queue_id, j.key collate "C" as key, first_value(j.due) over lane as due
    from unnest(p_jobs) j window lane as (partition by j.queue_id, j.key order by j.n)
  ), opened as (
    insert into outbox.lanes as l (queue_id, project_id, key, last_place, due_at)
    select w.queue_id, p_project, w.key, '-infinity', w.due from wanted w order by w.queue_id, w.key
    on conflict (queue_id, project_id, key) do update set last_place = l.last_place
    returning l.id, l.last_place
  )
  select array_agg(o.id) into v_fresh from opened o where o.last_place = '-infinity';

  with placed as materialized (
    select j.*, l.id as lane, greatest(l.last_place, max(j.due - j.k * interval '1 us') over (
      partition by l.id order by j.k)) + j.k * interval '1 us' as place
    from (select u.*, row_number() over (partition by u.queue_id, u.key order by u.n) as k
      from unnest(p_jobs) u) j
    cross join lateral (select l.id, l.last_place from outbox.lanes l
      where l.queue_id = j.queue_id and l.project_id = p_project and l.key = j.key offset 0) l
  ), inserted as (
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select p.queue_id, p.lane, 0, p.place, p.job_id, p.attempt, p.no, p.series from placed p
  )
  -- Parallel arrays: a join would walk all lanes, or the list once a lane.
  update outbox.lanes l set last_place = k.lasts[array_position(k.ids, l.id)],
    due_at = case when l.id = any (v_fresh) then k.firsts[array_position(k.ids, l.id)] else l.due_at end
  from (select array_agg(p.lane) as ids, array_agg(p.first) as firsts, array_agg(p.last) as lasts
    from (select p.lane, min(p.place) as first, max(p.place) as last from placed p group by p.lane) p) k
  where l.id = any (k.ids);

  return query
  select q.name, q.handler, count(*)::int from unnest(p_jobs) j join outbox.queues q on q.id = j.queue_id
  where j.queue_id = any (array(select l.queue_id from unnest(v_fresh) f (id)
    cross join lateral (select l.queue_id from outbox.lanes l where l.id = f.id offset 0) l))
  group by q.name, q.handler;
end
$$;
