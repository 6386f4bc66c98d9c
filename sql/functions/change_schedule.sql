-- outbox.change_schedule(caller, schedule, fields, next): all of its fields as given, from its next tick on
--
-- Whoever calls holds the row, has laid the changes over what was there, and has computed the next tick. From here on
-- it publishes in the caller's name; one that was suspended goes on where it is enabled. Errors: as
-- `add_schedule`, OX404.

create or replace function outbox.change_schedule(
  p_caller outbox.caller, p_schedule uuid, p_fields jsonb, p_next timestamptz
) returns void
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.schedules := outbox.lock_schedule(v_caller, p_schedule);
  v_new outbox.schedules := jsonb_populate_record(v_old, p_fields);
begin
  perform outbox.caller_project(v_caller, v_old.project_id);
  perform outbox.check_schedule(v_new);
  update outbox.schedules s set name = v_new.name, cron = v_new.cron, timezone = v_new.timezone, type = v_new.type,
    payload = v_new.payload, subject = v_new.subject, ordering_key = v_new.ordering_key, enabled = v_new.enabled,
    missed = v_new.missed, missed_cap = v_new.missed_cap, starts_at = v_new.starts_at, ends_at = v_new.ends_at,
    state = v_new.state, reason = v_new.reason, next_at = p_next, key_id = v_caller.key_id, actor = v_caller.actor,
    revision = v_old.revision + 1, updated_at = outbox.clock()
  where s.id = p_schedule;
  perform outbox.audit(v_caller, 'schedule.changed', 'schedule', p_schedule::text, v_old.team_id, v_old.project_id,
    jsonb_build_object('revision', v_old.revision + 1,
      'old', outbox.row_changes(to_jsonb(v_new), to_jsonb(v_old)) - 'payload',
      'new', outbox.row_changes(to_jsonb(v_old), to_jsonb(v_new)) - 'payload',
      'payload', case when v_old.payload <> v_new.payload then 'changed' end));
end
$$;
