-- outbox.tell_used(caller, row, actor, choice) -> the event that says that a suggestion was used

create or replace function outbox.tell_used(
  p_caller outbox.caller, p_row outbox.interactions, p_actor text, p_choice int
) returns uuid
language plpgsql
as $$
declare
  v_event uuid := outbox.uuid7(outbox.clock());
begin
  perform outbox.audit_interaction(p_caller, p_row, 'interaction.used',
    jsonb_build_object('usedBy', p_actor, 'eventId', v_event));
  perform outbox.tell_interactions(array[outbox.interaction_event(p_caller, p_row, 'interaction.used',
    outbox.interaction_told(p_row) || jsonb_build_object('choice', p_choice,
      'value', p_row.options -> p_choice -> 'value', 'usedBy', p_actor), v_event)]);
  return v_event;
end
$$;
