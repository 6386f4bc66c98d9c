-- outbox.retry_cancelled(caller, jobs, rate, from, now, reason) -> how many of these cancelled jobs are queued again
--
-- A keyed one goes to the end of its lane. Its lane is locked by the caller, or there is none.

create or replace function outbox.retry_cancelled(
  p_caller outbox.caller, p_jobs uuid[], p_rate numeric, p_from int, p_now timestamptz, p_reason text
) returns int
language plpgsql
as $$
declare
  v_items outbox.settling[];
  v_project uuid;
begin
  v_items := array(
    select row(0, null, null, j.id, j.queue_id, null, 0, s.run_at, s.no + 1, 0, s.series, null, null, null, null,
      null, null, null, null, null, false, null, null, null, 'cancelled', null)::outbox.settling
    from unnest(p_jobs) u(id)
    cross join lateral (select j.id, j.queue_id from outbox.jobs j where j.id = u.id offset 0) j
    cross join lateral outbox.job_state(j.id) s
    where s.state = 'cancelled');
  v_items := outbox.restart(p_caller, v_items, p_rate, p_from, p_now, p_reason);
  for v_project in
    select distinct j.project_id from unnest(v_items) i
    cross join lateral (select j.project_id, j.ordering_key from outbox.jobs j where j.id = i.job_id offset 0) j
    where j.ordering_key is not null order by 1
  loop
    perform outbox.append_to_lanes(v_project, array(
      select row(j.id, j.queue_id, j.ordering_key, i.due_at, row_number() over (order by i.due_at, j.id), 0, i.no,
        i.series + 1)::outbox.placeable
      from unnest(v_items) i
      cross join lateral (select j.* from outbox.jobs j where j.id = i.job_id offset 0) j
      where j.project_id = v_project and j.ordering_key is not null));
  end loop;
  return cardinality(v_items);
end
$$;
