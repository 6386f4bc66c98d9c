-- outbox.remove_schedule(caller, schedule, revision): gone; no tick fires after the commit, its events stay
--
-- Foreign or unknown: OX404; another revision than that: OX412.

create or replace function outbox.remove_schedule(p_caller outbox.caller, p_schedule uuid, p_revision int default null)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.schedules := outbox.lock_schedule(v_caller, p_schedule, p_revision);
begin
  delete from outbox.schedules s where s.id = p_schedule;
  perform outbox.audit(v_caller, 'schedule.removed', 'schedule', p_schedule::text, v_old.team_id, v_old.project_id,
    jsonb_build_object('old', to_jsonb(v_old) - 'payload'));
end
$$;
