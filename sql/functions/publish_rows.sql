-- outbox.publish_rows(rows) -> (ord, event, duplicate, differs): the SQL doors' way into `ingest`
--
-- All rows are one unit. Fills in what SQL knows of itself (adapter, actor), derives the event key of a
-- native id, raises the first refusal with its ordinal, and wakes sleepers by the gate.

create or replace function outbox.publish_rows(p_rows outbox.incoming[])
returns table (ord int, event_id uuid, duplicate boolean, differs boolean)
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_rows outbox.incoming[] := '{}';
  v_row outbox.incoming;
  v_which text;
  v_seen record;
  v_handlers text[] := '{""}';
begin
  foreach v_row in array p_rows loop
    v_row.ord := cardinality(v_rows);
    v_which := case when cardinality(p_rows) > 1 then format('event %s: ', v_row.ord) else '' end;
    v_row.unit := 0;
    v_row.id := outbox.uuid7(v_now + make_interval(secs => v_row.ord * 1e-6));
    v_row.adapter := 'sql';
    v_row.actor := 'sql:' || session_user;
    v_row.payload := case when v_row.payload is null or v_row.payload = 'null' then '{}' else v_row.payload end;
    v_row.metadata := coalesce(v_row.metadata, '{}');
    v_row.traceparent := outbox.traceparent_of(v_row.traceparent);
    perform outbox.check_incoming(v_row, v_now, v_which);
    v_row.event_key := coalesce(v_row.event_key, outbox.native_key(v_row));
    v_rows := v_rows || v_row;
  end loop;

  for v_seen in select i.* from outbox.ingest(v_rows) i loop
    if v_seen.status >= 400 and v_seen.own then
      perform outbox.refuse(v_seen.status,
        case when cardinality(p_rows) > 1 then format('event %s: ', v_seen.ord) else '' end || v_seen.error,
        v_seen.code);
    end if;
    continue when v_seen.status >= 400;
    ord := v_seen.ord;
    event_id := v_seen.event_id;
    duplicate := v_seen.duplicate;
    differs := v_seen.differs;
    v_handlers := v_handlers || array(select j ->> 'handler' from jsonb_array_elements(v_seen.jobs) j);
    return next;
  end loop;
  perform outbox.wake_gated(v_handlers);
end
$$;
