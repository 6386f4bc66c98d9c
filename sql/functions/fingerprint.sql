-- outbox.fingerprint(type, subject, payload) -> SHA-256 by which two events under one key are compared

create or replace function outbox.fingerprint(p_type text, p_subject text, p_payload jsonb) returns bytea
language sql immutable parallel safe
as $$
  select sha256(convert_to(jsonb_build_array(p_type, p_subject, p_payload)::text, 'UTF8'))
$$;
