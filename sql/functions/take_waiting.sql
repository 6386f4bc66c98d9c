-- outbox.take_waiting(jobs, lanes) -> those in `ready` and `later`, deleted there; keyed ones only of these lanes

create or replace function outbox.take_waiting(p_jobs uuid[], p_lanes bigint[]) returns outbox.settling[]
language plpgsql
as $$
declare
  v_items outbox.settling[];
begin
  with due as (
    delete from outbox.ready d where d.ctid = any (array(
      select r.ctid from outbox.ready r
      where r.job_id = any (p_jobs) and (r.lane > 0 or r.lane = any (p_lanes)) for update skip locked))
    returning d.*
  ), waiting as (
    delete from outbox.later d where d.ctid = any (array(
      select l.ctid from outbox.later l where l.job_id = any (p_jobs) for update skip locked))
    returning d.*
  )
  select array_agg(row(0, null, null, t.job_id, t.queue_id, t.lane, t.priority, t.run_at, t.no + 1, t.attempt,
    t.series, null, null, null, null, null, null, null, null, null, true, t.held, null, null, 'queued',
    null)::outbox.settling order by t.job_id)
  into v_items
  from (select d.queue_id, d.lane, d.priority, d.run_at, d.job_id, d.attempt, d.no, d.series, null as held from due d
    union all
    select w.queue_id, w.lane, w.priority, w.run_at, w.job_id, w.attempt, w.no, w.series, w.held from waiting w) t;
  return coalesce(v_items, '{}');
end
$$;
