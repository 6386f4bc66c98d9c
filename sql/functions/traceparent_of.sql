-- outbox.traceparent_of(text) -> a W3C traceparent if it is one, else null

create or replace function outbox.traceparent_of(p_text text) returns text
language sql immutable
as $$
  select case when p_text ~ '^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}' then p_text end
$$;
