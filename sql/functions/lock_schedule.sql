-- outbox.lock_schedule(caller, schedule, revision) -> the row, which nobody else changes or fires now
--
-- Foreign or unknown: OX404; another revision than that: OX412.

create or replace function outbox.lock_schedule(p_caller outbox.caller, p_schedule uuid, p_revision int default null)
returns outbox.schedules
language plpgsql
as $$
declare
  v_row outbox.schedules;
begin
  perform outbox.need_read_committed();
  select * into v_row from outbox.schedules s where s.id = p_schedule for update;
  if v_row.id is null or not outbox.sees(p_caller, v_row.team_id, v_row.project_id) then
    perform outbox.refuse(404, 'Schedule not found');
  end if;
  if v_row.revision <> p_revision then
    perform outbox.refuse(412, 'the schedule was changed meanwhile');
  end if;
  return v_row;
end
$$;
