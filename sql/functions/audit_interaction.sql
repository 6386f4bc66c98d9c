-- outbox.audit_interaction(caller, row, action, details): what somebody did about a question; no payload

create or replace function outbox.audit_interaction(
  p_caller outbox.caller, p_row outbox.interactions, p_action text, p_details jsonb default '{}'
) returns void
language plpgsql
as $$
begin
  perform outbox.audit(p_caller, p_action, 'interaction', p_row.id, p_row.team_id, p_row.project_id,
    jsonb_build_object('kind', p_row.kind, 'connectionId', p_row.connection_id) || p_details);
end
$$;
