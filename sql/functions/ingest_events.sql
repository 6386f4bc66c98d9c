-- outbox.ingest_events(rows, sessions): the rows of `events`, as given; sessions: of each row, in the order of `ord`

drop function if exists outbox.ingest_events;
create function outbox.ingest_events(p_rows outbox.incoming[], p_sessions uuid[], p_now timestamptz) returns void
language plpgsql
as $$
begin
  insert into outbox.events (id, team_id, project_id, session_id, occurred_at, received_at, expires_at,
    key_id, hops, private_removed, type, adapter, actor, request_id, traceparent, tracestate, subject,
    ordering_key, source, source_event_id, content_session_id, platform_source, encoding, content_type,
    attributes, metadata, payload)
  select r.id, p.team_id, p.id, p_sessions[r.ord + 1], coalesce(r.occurred_at, p_now), p_now, r.expires_at,
    r.key_id, coalesce(r.hops, 0), coalesce(r.private_removed, 0), r.type, r.adapter, r.actor, r.request_id,
    r.traceparent, r.tracestate, r.subject, r.ordering_key, r.source, r.source_event_id,
    r.content_session_id, r.platform_source, r.encoding, r.content_type, r.attributes,
    coalesce(r.metadata, '{}'), r.payload
  from unnest(p_rows) r
  cross join lateral (select p.team_id, p.id from outbox.projects p where p.id = r.project_id) p;
end
$$;
