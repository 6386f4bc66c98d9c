-- outbox.publish(type, payload, …) -> the event's id, as durable as the caller's transaction
--
-- For producers in any language, in the transaction of their own rows: rolled back with them, also to a
-- savepoint, without a trace. Call everything after the first two arguments by name.
-- p_generate false: no job of generation, whatever the project's policy.
-- Errors: OX400, OX403 (project, session), OX409 (key used for another event; archived project), OX413.

drop function if exists outbox.publish;
create function outbox.publish(
  p_type text, p_payload jsonb default '{}', p_project uuid default null, p_key text default null,
  p_subject text default null, p_ordering_key text default null, p_source_event_id text default null,
  p_session uuid default null, p_occurred_at timestamptz default null, p_run_at timestamptz default null,
  p_expires_at timestamptz default null, p_priority int default 0, p_metadata jsonb default '{}',
  p_traceparent text default null, p_generate boolean default true
) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_row outbox.incoming;
begin
  if p_key = '' or char_length(p_key) > 255 then
    perform outbox.refuse(400, 'p_key: 1 to 255 characters');
  end if;
  v_row.project_id := outbox.producer_project(p_project);
  v_row.type := p_type;
  v_row.payload := p_payload;
  v_row.subject := p_subject;
  v_row.ordering_key := p_ordering_key;
  v_row.source_event_id := p_source_event_id;
  v_row.session_id := p_session;
  v_row.occurred_at := p_occurred_at;
  v_row.run_at := p_run_at;
  v_row.expires_at := p_expires_at;
  v_row.priority := p_priority;
  v_row.metadata := p_metadata;
  v_row.traceparent := p_traceparent;
  v_row.event_key := 'key:v1:' || p_key;
  v_row.strict := p_key is not null;
  v_row.generate := p_generate;
  return (select r.event_id from outbox.publish_rows(array[v_row]) r);
end
$$;
