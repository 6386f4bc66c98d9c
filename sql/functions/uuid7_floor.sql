-- outbox.uuid7_floor(at) -> the least uuid of that millisecond: a bound of partitions and look-ups

create or replace function outbox.uuid7_floor(p_at timestamptz) returns uuid
language sql immutable parallel safe
as $$
  select (lpad(to_hex(floor(extract(epoch from p_at) * 1000)::bigint), 12, '0')
    || '00000000000000000000')::uuid
$$;
