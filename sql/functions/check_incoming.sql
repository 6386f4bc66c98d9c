-- outbox.check_incoming(row, now, which): raises OX400 or OX413 for what no door may let in
--
-- HTTP has checked all of this before; for SQL producers it is the only check.

drop function if exists outbox.check_incoming;
create function outbox.check_incoming(p_row outbox.incoming, p_now timestamptz, p_which text) returns void
language plpgsql stable
as $$
declare
  v_limit bigint;
  v_wrong text;
begin
  v_wrong := case
    when p_row.type is null or p_row.type !~ '^[^\u0001-\u001f\u007f-\u009f]{1,255}\Z'
      then 'p_type: 1 to 255 characters, no control characters'
    when p_row.type like 'outboxd.%' then 'p_type: outboxd.* is reserved'
    when char_length(p_row.subject) > 255 then 'p_subject: at most 255 characters'
    when char_length(p_row.ordering_key) not between 1 and 255 then 'p_ordering_key: 1 to 255 characters'
    when p_row.event_key = 'key:v1:' or char_length(p_row.event_key) > 262 then 'p_key: 1 to 255 characters'
    when char_length(p_row.source_event_id) > 512 then 'p_source_event_id: at most 512 characters'
    when p_row.priority is not null and p_row.priority not between -100 and 100 then 'p_priority: -100 to 100'
    when jsonb_typeof(p_row.metadata) <> 'object' then 'p_metadata: an object'
    when octet_length(p_row.metadata::text) > 32768 then 'p_metadata: at most 32 KiB'
    when p_row.occurred_at is not null and (not isfinite(p_row.occurred_at)
      or extract(year from p_row.occurred_at at time zone 'UTC') not between 1970 and 9999)
      then 'p_occurred_at: year 1970 to 9999'
    when p_row.run_at is not null and (not isfinite(p_row.run_at) or p_row.run_at > p_now + interval '366 days')
      then 'p_run_at: at most 366 days ahead'
    when p_row.expires_at is not null and (not isfinite(p_row.expires_at)
      or p_row.expires_at <= coalesce(p_row.run_at, p_now)) then 'p_expires_at: later than p_run_at'
  end;
  if v_wrong is not null then
    perform outbox.refuse(400, p_which || v_wrong);
  end if;
  v_limit := coalesce(nullif(current_setting('outbox.max_event_bytes', true), ''), '5242880')::bigint;
  -- What comes from a table may be compressed, to a ninetieth at most.
  if pg_column_size(p_row.payload) > v_limit / 100 and octet_length(p_row.payload::text) > v_limit then
    perform outbox.refuse(413, format('%sp_payload: at most %s bytes', p_which, v_limit));
  end if;
end
$$;
