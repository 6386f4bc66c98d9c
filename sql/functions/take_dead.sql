-- outbox.take_dead(jobs, lanes) -> those that are dead letters, deleted there; `lane` set if they block it
--
-- A keyed one only if its lane is one of these, or is gone.

create or replace function outbox.take_dead(p_jobs uuid[], p_lanes bigint[]) returns outbox.settling[]
language plpgsql
as $$
declare
  v_items outbox.settling[];
begin
  with free as materialized (
    select u.id, l.id as lane, l.blocked_by
    from unnest(p_jobs) u(id)
    cross join lateral (select j.queue_id, j.project_id, j.ordering_key from outbox.jobs j where j.id = u.id offset 0) j
    left join lateral (select l.id, l.blocked_by from outbox.lanes l where l.queue_id = j.queue_id
      and l.project_id = j.project_id and l.key = j.ordering_key offset 0) l on true
    where l.id is null or l.id = any (p_lanes)
  ), dead as (
    delete from outbox.dead_letters d where d.ctid = any (array(
      select x.ctid from outbox.dead_letters x
      where x.job_id = any (array(select f.id from free f)) for update skip locked))
    returning d.*
  )
  select array_agg(row(0, null, null, d.job_id, d.queue_id, case when f.blocked_by = d.job_id then f.lane end, 0,
    d.place, d.no + 1, d.attempt, d.series, null, null, null, null, null, null, null, null, null, true, null, null,
    null, 'failed', null)::outbox.settling order by d.job_id)
  into v_items
  from dead d join free f on f.id = d.job_id;
  return coalesce(v_items, '{}');
end
$$;
