-- outbox.rotate_key(caller, key, hash, prefix, overlap) -> the row of a key with a new secret, else as the old one
--
-- The old key expires after the overlap, 0 to 7 days, or when it would have anyway. Foreign or unknown: OX404;
-- revoked or expired: OX409; wider than the key that asks: OX403.

drop function if exists outbox.rotate_key;
create function outbox.rotate_key(
  p_caller outbox.caller, p_key uuid, p_hash bytea, p_prefix text, p_overlap interval default '1 day'
) returns outbox.keys
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_old outbox.keys;
  v_new outbox.keys;
begin
  if p_overlap is null or p_overlap not between '0' and '7 days' then
    perform outbox.refuse(400, 'p_overlap: 0 to 7 days');
  end if;
  v_old := outbox.find_key(v_caller, p_key);
  if v_old.revoked_at is not null or v_old.expires_at <= v_now then
    perform outbox.refuse(409, 'the key is revoked or has expired');
  end if;
  v_new := outbox.mint_key(v_caller, p_hash, p_prefix, v_old.team_id, v_old.project_id, v_old.scopes, v_old.name,
    v_old.expires_at, p_key);
  update outbox.keys k set expires_at = least(k.expires_at, v_now + p_overlap) where k.id = p_key;
  -- Caches elsewhere know the old time.
  perform pg_notify('outbox_wake', 'k:' || p_key);
  perform outbox.audit(v_caller, 'api_key.rotate', 'api_key', p_key::text, v_old.team_id, v_old.project_id,
    jsonb_build_object('newKey', v_new.id, 'overlap', p_overlap));
  return v_new;
end
$$;
