-- outbox.interaction_told(row) -> what every event says to the asker of a question

create or replace function outbox.interaction_told(p_row outbox.interactions) returns jsonb
language sql immutable
as $$
  select jsonb_build_object('interactionId', (p_row).id, 'connectionId', (p_row).connection_id, 'kind', (p_row).kind,
    'context', (p_row).context, 'digest', encode((p_row).digest, 'hex'), 'askedBy', (p_row).asked_by,
    'sessionId', (p_row).session_id)
$$;
