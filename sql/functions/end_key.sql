-- outbox.end_key(caller, key, reason) -> its row, revoked; a repeat keeps the first time. Foreign or unknown: OX404
--
-- Caches elsewhere hear of it at the commit, by the hint `k:<key>`; writes look for themselves anyway.

drop function if exists outbox.end_key;
create function outbox.end_key(p_caller outbox.caller, p_key uuid, p_reason text default null) returns outbox.keys
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_key outbox.keys;
begin
  p_caller := outbox.admit(p_caller);
  perform outbox.need_reason(p_reason);
  v_key := outbox.find_key(p_caller, p_key);
  if v_key.revoked_at is null then
    update outbox.keys k set revoked_at = v_now where k.id = p_key returning * into v_key;
    perform pg_notify('outbox_wake', 'k:' || p_key);
    perform outbox.audit(p_caller, 'api_key.revoke', 'api_key', p_key::text, v_key.team_id, v_key.project_id,
      jsonb_build_object('reason', p_reason));
  end if;
  return v_key;
end
$$;
