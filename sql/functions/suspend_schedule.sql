-- outbox.suspend_schedule(row, reason): it publishes nothing until somebody enables it again; audited

create or replace function outbox.suspend_schedule(p_row outbox.schedules, p_reason text) returns void
language plpgsql
as $$
begin
  update outbox.schedules s set state = 'suspended', reason = left(p_reason, 100), revision = s.revision + 1,
    updated_at = outbox.clock()
  where s.id = p_row.id;
  perform outbox.audit(row(null, null, true, p_row.key_id, 'outboxd', null)::outbox.caller, 'schedule.suspended',
    'schedule', p_row.id::text, p_row.team_id, p_row.project_id,
    jsonb_build_object('reason', p_reason, 'tickEpoch', outbox.ms(p_row.next_at)));
end
$$;
