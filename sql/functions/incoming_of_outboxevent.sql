-- outbox.incoming_of_outboxevent(row, ord, now) -> the event that a row of `outboxevent` means
--
-- By the rights of the login that wrote it. Raises OX400, OX403 or OX413 for what no door lets in.

create or replace function outbox.incoming_of_outboxevent(p_row outbox.outboxevent, p_ord int, p_now timestamptz)
returns outbox.incoming
language plpgsql stable
as $$
declare
  v_who outbox.caller := outbox.who(p_row.producer);
  v_row outbox.incoming;
begin
  v_row.ord := p_ord;
  v_row.unit := p_ord;
  v_row.id := outbox.uuid7(p_now + make_interval(secs => p_ord * 1e-6));
  v_row.project_id := outbox.choose_project(p_row.project_id, v_who.project_ids);
  v_row.adapter := 'debezium';
  v_row.actor := v_who.actor;
  v_row.type := p_row.type;
  v_row.payload := coalesce(nullif(p_row.payload, 'null'), '{}');
  v_row.subject := p_row.aggregatetype || '/' || p_row.aggregateid;
  v_row.ordering_key := p_row.aggregateid;
  v_row.source_event_id := p_row.id;
  v_row.metadata := jsonb_build_object('aggregateType', p_row.aggregatetype);
  v_row.occurred_at := p_row."timestamp";
  v_row.traceparent := outbox.traceparent_of(substring(p_row.tracingspancontext
    from 'traceparent[^0-9a-z]{1,8}([0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})'));
  perform outbox.check_incoming(v_row, p_now, '');
  v_row.event_key := outbox.native_key(v_row);
  return v_row;
end
$$;
