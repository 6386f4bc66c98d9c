-- outbox.mint_stream_token(caller, hash, project, types, session, subject, ttl) -> when it expires
--
-- For clients that cannot send a header: opens streams of that project, with these filters, until then and while
-- the key behind it does. At most 1,000 live ones a key. Errors: OX403, OX404, OX409.

drop function if exists outbox.mint_stream_token;
create function outbox.mint_stream_token(p_caller outbox.caller, p_hash bytea, p_project uuid, p_types text[],
  p_session uuid, p_subject text, p_ttl interval) returns timestamptz
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects := outbox.find_project(v_caller, p_project);
  v_now timestamptz := outbox.clock();
  v_live int;
begin
  perform outbox.need_read_committed();
  -- Two at once are counted one after the other.
  perform pg_advisory_xact_lock(hashtextextended('outbox.stream_tokens:' || v_caller.key_id, 0));
  select count(*) into v_live from outbox.stream_tokens t where t.key_id = v_caller.key_id and t.expires_at > v_now;
  if v_live >= 1000 then
    perform outbox.refuse(409, 'a key has at most 1,000 stream tokens at once', 'LimitReached');
  end if;
  insert into outbox.stream_tokens (hash, key_id, team_id, project_id, types, session_id, subject, expires_at, created_at)
  values (p_hash, v_caller.key_id, v_project.team_id, p_project, p_types, p_session, p_subject, v_now + p_ttl, v_now);
  return v_now + p_ttl;
end
$$;
