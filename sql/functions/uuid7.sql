-- outbox.uuid7(at) -> a fresh UUIDv7 (RFC 9562) whose time is `at`
--
-- The microseconds stand in the 12 bits after the version, so ids of one process sort as they were made.
-- PostgreSQL has uuidv7() from 18 on, and only for the present.

create or replace function outbox.uuid7(p_at timestamptz) returns uuid
language sql volatile parallel safe
as $$
  select encode(
    substring(int8send((t.us / 1000)::bigint) from 3 for 6)
    || substring(int8send(28672 + ((t.us % 1000) * 4096 / 1000)) from 7 for 2)
    || set_byte(r.b, 0, (get_byte(r.b, 0) & 63) | 128),
    'hex')::uuid
  from (select (extract(epoch from p_at) * 1000000)::bigint as us) t,
    (select substring(uuid_send(gen_random_uuid()) from 9 for 8) as b) r
$$;
