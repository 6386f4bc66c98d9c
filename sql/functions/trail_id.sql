-- outbox.trail_id(at, about) -> the id of a fact that has none: a UUIDv7 of that time, always the same

create or replace function outbox.trail_id(p_at timestamptz, p_about text) returns uuid
language sql immutable
as $$
  select (lpad(to_hex(floor(extract(epoch from p_at) * 1000)::bigint), 12, '0') || '7'
    || lpad(to_hex(floor((extract(epoch from p_at) * 1000000) % 1000 * 4096 / 1000)::int), 3, '0')
    || '8' || left(md5(p_about), 15))::uuid
$$;
