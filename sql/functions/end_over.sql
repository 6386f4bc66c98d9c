-- outbox.end_over(job, now) -> 1 if that waiting job was past its time and is ended now, else 0
--
-- A keyed job's lane is locked first, as everywhere. A job in hand goes on: what it started may finish. Looked for
-- twice, since `stage` may be moving it from `later` to `ready`.

create or replace function outbox.end_over(p_job uuid, p_now timestamptz) returns int
language plpgsql
as $$
declare
  v_row outbox.ready;
  v_over outbox.settling[];
begin
  perform from outbox.jobs j
  join outbox.lanes l on l.queue_id = j.queue_id and l.project_id = j.project_id and l.key = j.ordering_key
  where j.id = p_job for update of l;
  for v_look in 1 .. 2 loop
    delete from outbox.ready r where r.job_id = p_job returning r.* into v_row;
    exit when v_row.job_id is not null;
    delete from outbox.later l where l.job_id = p_job
    returning l.run_at, l.lane, l.job_id, l.queue_id, l.priority, l.attempt, l.no, l.series into v_row;
    exit when v_row.job_id is not null;
  end loop;
  if v_row.job_id is null then
    return 0;
  end if;
  v_over := outbox.claim_over(array[v_row], p_now);
  if cardinality(v_over) = 0 then
    insert into outbox.ready select v_row.*;
    return 0;
  end if;
  perform outbox.conclude(v_over, p_now);
  return 1;
end
$$;
