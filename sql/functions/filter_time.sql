-- outbox.filter_time(value) -> a point in time said as epoch milliseconds or ISO 8601; null for null

create or replace function outbox.filter_time(p_value jsonb) returns timestamptz
language sql stable
as $$
  select case when jsonb_typeof(p_value) = 'number' then to_timestamp((p_value #>> '{}')::numeric / 1000)
    else (p_value #>> '{}')::timestamptz end
$$;
