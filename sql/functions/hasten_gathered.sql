-- outbox.hasten_gathered(gathering, group, to, full) -> is its job due now that the group's events up to that one join it?
--
-- Full: due at once, also before its session ends. Else a job that never ran and that nothing holds is due when
-- nothing came for `quiet`, or `longest` after its first event. One that somebody has in hand is let be: it runs,
-- or it ends.

create or replace function outbox.hasten_gathered(
  p_open outbox.gatherings, p_group outbox.gathered, p_to int, p_full boolean
) returns boolean
language plpgsql
as $$
declare
  v_due timestamptz := least(p_group.ats[p_to] + p_group.quiet, p_open.opened_at + p_group.longest);
begin
  if not p_full and v_due > p_group.now then
    update outbox.later w set run_at = v_due
    where w.ctid = any (array(
      select l.ctid from outbox.later l
      where l.job_id = p_open.job_id and l.no = 0 and l.held is null for update skip locked));
    return false;
  end if;
  with due as (
    delete from outbox.later w where w.ctid = any (array(
      select l.ctid from outbox.later l
      where l.job_id = p_open.job_id and l.no = 0 and (l.held is null or (p_full and l.held = 'session_open')) for update skip locked))
    returning w.*
  )
  insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
  select d.queue_id, d.lane, d.priority, p_group.now, d.job_id, d.attempt, d.no, d.series from due d;
  return found;
end
$$;
