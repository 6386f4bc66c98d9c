-- outbox.revoke_key(caller, key, reason) -> since when it is revoked; a repeat keeps the first time
--
-- For operators; refused at once where something is written, within 5 s elsewhere. What it asked for and is not done
-- fails, until somebody retries it. Foreign or unknown: OX404.

drop function if exists outbox.revoke_key;
create function outbox.revoke_key(p_caller outbox.caller, p_key uuid, p_reason text default null) returns timestamptz
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
begin
  perform outbox.need_read_committed();
  return (outbox.end_key(v_caller, p_key, p_reason)).revoked_at;
end
$$;
