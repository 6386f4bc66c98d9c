-- outbox.interaction_event(caller, row, type, payload, id) -> an event about a question, for `tell_interactions`
--
-- Not linked to the session, whose summary would be due anew by it; the payload names it. Nothing is generated.

create or replace function outbox.interaction_event(
  p_caller outbox.caller, p_row outbox.interactions, p_type text, p_payload jsonb, p_id uuid default null
) returns outbox.incoming
language plpgsql
as $$
declare
  v_event outbox.incoming;
begin
  v_event.ord := 0;
  v_event.unit := 0;
  v_event.id := coalesce(p_id, outbox.uuid7(outbox.clock()));
  v_event.project_id := p_row.project_id;
  v_event.type := p_type;
  v_event.payload := p_payload;
  v_event.adapter := 'outboxd';
  v_event.actor := p_caller.actor;
  v_event.request_id := p_caller.request_id;
  v_event.traceparent := p_row.traceparent;
  v_event.subject := 'interaction/' || p_row.id;
  v_event.ordering_key := p_row.id;
  v_event.generate := false;
  return v_event;
end
$$;
