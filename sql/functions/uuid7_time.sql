-- outbox.uuid7_time(id) -> when that UUIDv7 was made, to the millisecond

create or replace function outbox.uuid7_time(p_id uuid) returns timestamptz
language sql immutable parallel safe
as $$
  select to_timestamp(('x' || lpad(substr(replace(p_id::text, '-', ''), 1, 12), 16, '0'))::bit(64)::bigint
    / 1000.0)
$$;
