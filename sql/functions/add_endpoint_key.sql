-- outbox.add_endpoint_key(endpoint, kind, sealed, public): one more key that signs what is sent there, from now on
--
-- More than 10 in force at a time: OX409.

create or replace function outbox.add_endpoint_key(p_endpoint uuid, p_kind text, p_sealed bytea, p_public text)
returns void
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  if (select count(*) from outbox.endpoint_secrets s
      where s.endpoint_id = p_endpoint and (s.expires_at is null or s.expires_at > v_now)) >= 10 then
    perform outbox.refuse(409, 'this endpoint has 10 keys in force: wait for one of them to expire', 'LimitReached');
  end if;
  insert into outbox.endpoint_secrets (id, endpoint_id, kind, sealed, public_key, created_at)
  values (outbox.uuid7(v_now), p_endpoint, p_kind, p_sealed, p_public, v_now);
end
$$;
