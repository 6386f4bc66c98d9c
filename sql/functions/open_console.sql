-- outbox.open_console(caller, hash, csrf) -> when it ends unless it is used; the key that signs in is judged here
--
-- A key is signed in 20 times at most: the oldest session makes room.

create or replace function outbox.open_console(p_caller outbox.caller, p_hash bytea, p_csrf bytea) returns timestamptz
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_until timestamptz := outbox.console_until(v_now, v_now);
begin
  perform outbox.need_read_committed();
  -- Two at once are counted one after the other.
  perform pg_advisory_xact_lock(hashtextextended('outbox.console_sessions:' || v_caller.key_id, 0));
  delete from outbox.console_sessions s where s.hash = any (array(
    select o.hash from outbox.console_sessions o where o.key_id = v_caller.key_id
    order by o.opened_at desc, o.hash offset 19));
  insert into outbox.console_sessions (hash, key_id, csrf, opened_at, expires_at)
  values (p_hash, v_caller.key_id, p_csrf, v_now, v_until);
  perform outbox.audit(v_caller, 'console.opened', 'api_key', v_caller.key_id::text, v_caller.team_id,
    v_caller.project_ids[1]);
  return v_until;
end
$$;
