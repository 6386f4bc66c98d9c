-- outbox.run_schedule(caller, schedule) -> the event that it published now, in the caller's name; its ticks stay
--
-- Also of one that is disabled, suspended or over. Foreign or unknown: OX404; archived project: OX409.

create or replace function outbox.run_schedule(p_caller outbox.caller, p_schedule uuid) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_row outbox.schedules;
  v_event outbox.incoming;
  v_seen record;
begin
  select * into v_row from outbox.schedules s where s.id = p_schedule;
  if v_row.id is null or not outbox.sees(v_caller, v_row.team_id, v_row.project_id) then
    perform outbox.refuse(404, 'Schedule not found');
  end if;
  v_row.key_id := v_caller.key_id;
  v_row.actor := v_caller.actor;
  v_event := outbox.schedule_event(v_row, v_now, 0);
  v_event.event_key := null;
  v_event.request_id := v_caller.request_id;
  select * into v_seen from outbox.ingest(array[v_event]);
  if v_seen.status >= 400 then
    perform outbox.refuse(v_seen.status, v_seen.error, v_seen.code);
  end if;
  perform outbox.audit(v_caller, 'schedule.run', 'schedule', p_schedule::text, v_row.team_id, v_row.project_id,
    jsonb_build_object('eventId', v_seen.event_id));
  perform outbox.wake_gated('{""}' || array(select j ->> 'handler' from jsonb_array_elements(v_seen.jobs) j));
  return v_seen.event_id;
end
$$;
