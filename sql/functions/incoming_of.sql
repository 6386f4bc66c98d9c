-- outbox.incoming_of(event, project, ord) -> the row of one HTTP-shaped event; OX400 names what is wrong with it

create or replace function outbox.incoming_of(p_event jsonb, p_project uuid, p_ord int) returns outbox.incoming
language plpgsql stable
as $$
declare
  v_row outbox.incoming;
  v_name text;
  v_known constant text[] := '{projectId,eventType,sourceType,occurredAtEpoch,payload,metadata,serverSessionId,'
    'contentSessionId,memorySessionId,platformSource,sourceEventId,idempotencyKey,subject,orderingKey,priority,'
    'runAtEpoch,expiresAtEpoch,traceparent}';
begin
  if p_event is null or jsonb_typeof(p_event) <> 'object' then
    perform outbox.refuse(400, format('event %s: an object', p_ord));
  end if;
  for v_name in select k from jsonb_object_keys(p_event) k where not k = any (v_known) order by k limit 1 loop
    perform outbox.refuse(400, format('event %s: unknown field %s', p_ord, v_name));
  end loop;
  v_row.project_id := outbox.producer_project(coalesce((p_event ->> 'projectId')::uuid, p_project));
  v_row.type := p_event ->> 'eventType';
  v_row.payload := p_event -> 'payload';
  v_row.metadata := case when p_event -> 'metadata' <> 'null' then p_event -> 'metadata' end;
  v_row.session_id := (p_event ->> 'serverSessionId')::uuid;
  v_row.content_session_id := p_event ->> 'contentSessionId';
  v_row.platform_source := outbox.platform_of(p_event ->> 'platformSource');
  v_row.platform_given := p_event ? 'platformSource';
  v_row.source_event_id := p_event ->> 'sourceEventId';
  v_row.event_key := 'key:v1:' || (p_event ->> 'idempotencyKey');
  v_row.strict := v_row.event_key is not null;
  v_row.subject := p_event ->> 'subject';
  v_row.ordering_key := p_event ->> 'orderingKey';
  v_row.priority := (p_event ->> 'priority')::int;
  v_row.traceparent := p_event ->> 'traceparent';
  v_row.occurred_at := to_timestamp((p_event ->> 'occurredAtEpoch')::bigint / 1000.0);
  v_row.run_at := to_timestamp((p_event ->> 'runAtEpoch')::bigint / 1000.0);
  v_row.expires_at := to_timestamp((p_event ->> 'expiresAtEpoch')::bigint / 1000.0);
  return v_row;
exception
  when data_exception then
    perform outbox.refuse(400, format('event %s: %s', p_ord, sqlerrm));
end
$$;
