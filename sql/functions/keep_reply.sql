-- outbox.keep_reply(claim, status, reply, lives): the answer that the same request gets, so long
--
-- In the transaction of the effect, which has claimed it: {team, scope, route, key, fingerprint (hex)}.

create or replace function outbox.keep_reply(p_claim jsonb, p_status int, p_reply jsonb, p_lives interval) returns void
language plpgsql
as $$
begin
  insert into outbox.idempotency as i (scope_id, route, key, fingerprint, status, reply, expires_at)
  values ((p_claim ->> 'scope')::uuid, p_claim ->> 'route', p_claim ->> 'key', decode(p_claim ->> 'fingerprint', 'hex'),
    p_status, p_reply, outbox.clock() + p_lives)
  on conflict (scope_id, route, key) do update
    set fingerprint = excluded.fingerprint, status = excluded.status, reply = excluded.reply,
      expires_at = excluded.expires_at;
end
$$;
