-- outbox.tell_asked(caller, row): what follows from a new question; OX429 when too many wait in the project

create or replace function outbox.tell_asked(p_caller outbox.caller, p_row outbox.interactions) returns void
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  if exists (select from outbox.interactions i
             where i.project_id = p_row.project_id and i.state = 'pending' offset 10000) then
    perform outbox.refuse(429, 'more than 10,000 questions wait in this project');
  end if;
  perform outbox.audit_interaction(p_caller, p_row, 'interaction.asked');
  perform outbox.tell_interactions(array[outbox.interaction_event(p_caller, p_row, 'interaction.asked',
    jsonb_build_object('interactionId', p_row.id, 'connectionId', p_row.connection_id,
      'expectedActor', p_row.expected_actor, 'kind', p_row.kind, 'prompt', p_row.prompt, 'options', p_row.options,
      'freeText', p_row.free_text, 'expiresAtEpoch', outbox.ms(p_row.expires_at)))]);
end
$$;
