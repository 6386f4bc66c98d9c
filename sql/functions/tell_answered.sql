-- outbox.tell_answered(caller, row): what follows from an answer; by the routes, the asker's next job

create or replace function outbox.tell_answered(p_caller outbox.caller, p_row outbox.interactions) returns void
language plpgsql
as $$
begin
  perform outbox.audit_interaction(p_caller, p_row, 'interaction.answered',
    jsonb_build_object('answeredBy', p_row.answered_by, 'eventId', p_row.answer_event_id));
  perform outbox.tell_interactions(array[outbox.interaction_event(p_caller, p_row, 'interaction.answered',
    outbox.interaction_told(p_row) || jsonb_build_object('answer', p_row.answer, 'answeredBy', p_row.answered_by),
    p_row.answer_event_id)]);
end
$$;
