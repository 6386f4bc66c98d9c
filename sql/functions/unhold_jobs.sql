-- outbox.unhold_jobs(caller, held, project, limit, now) -> the queue of each job moved from `later` to `ready`

create or replace function outbox.unhold_jobs(
  p_caller outbox.caller, p_held text, p_project uuid, p_limit int, p_now timestamptz
) returns int[]
language plpgsql
as $$
declare
  v_queues int[];
begin
  with due as (
    delete from outbox.later d where d.ctid = any (array(
      select l.ctid from outbox.later l
      where l.held = p_held and (p_caller.everywhere and p_project is null or exists (
        select from outbox.projects p where p.number = l.lane and (p_project is null or p.id = p_project)
          and outbox.sees(p_caller, p.team_id, p.id)))
      order by l.run_at, l.job_id limit p_limit for update skip locked))
    returning d.*
  ), moved as (
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select d.queue_id, d.lane, d.priority, p_now, d.job_id, d.attempt, d.no, d.series from due d
  )
  select array_agg(d.queue_id) into v_queues from due d;
  return coalesce(v_queues, '{}');
end
$$;
