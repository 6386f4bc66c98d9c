-- outbox.add_schedule(caller, project, fields, at, next) -> its id
--
-- `fields`: columns as they are to be; `at`: now, from which `every …` counts; `next`: its first tick, null of one that
-- is disabled. Whoever calls has computed it. OX400: a field; OX404: the project; OX409: archived, the name is
-- taken, or the project has 1,000.

create or replace function outbox.add_schedule(
  p_caller outbox.caller, p_project uuid, p_fields jsonb, p_at timestamptz, p_next timestamptz
) returns uuid
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects := outbox.caller_project(v_caller, p_project);
  v_row outbox.schedules := jsonb_populate_record(null::outbox.schedules, p_fields);
begin
  v_row.id := outbox.uuid7(p_at);
  v_row.team_id := v_project.team_id;
  v_row.project_id := v_project.id;
  v_row.state := 'active';
  v_row.next_at := p_next;
  v_row.revision := 1;
  v_row.key_id := v_caller.key_id;
  v_row.actor := v_caller.actor;
  v_row.created_at := p_at;
  v_row.updated_at := p_at;
  perform outbox.check_schedule(v_row);
  if (select count(*) from outbox.schedules s where s.project_id = v_project.id) >= 1000 then
    perform outbox.refuse(409, 'a project has at most 1,000 schedules', 'LimitReached');
  end if;
  insert into outbox.schedules select v_row.*;
  perform outbox.audit(v_caller, 'schedule.added', 'schedule', v_row.id::text, v_row.team_id, v_row.project_id,
    jsonb_build_object('new', to_jsonb(v_row) - 'payload'));
  return v_row.id;
end
$$;
