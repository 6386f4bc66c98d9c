-- outbox.disable_schedule(caller, schedule) -> was it enabled? No tick fires after the commit; foreign or unknown: OX404

create or replace function outbox.disable_schedule(p_caller outbox.caller, p_schedule uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.schedules := outbox.lock_schedule(v_caller, p_schedule);
begin
  if not v_old.enabled then
    return false;
  end if;
  update outbox.schedules s set enabled = false, next_at = null, revision = v_old.revision + 1,
    updated_at = outbox.clock()
  where s.id = p_schedule;
  perform outbox.audit(v_caller, 'schedule.changed', 'schedule', p_schedule::text, v_old.team_id, v_old.project_id,
    jsonb_build_object('revision', v_old.revision + 1, 'old', '{"enabled": true}'::jsonb,
      'new', '{"enabled": false}'::jsonb));
  return true;
end
$$;
