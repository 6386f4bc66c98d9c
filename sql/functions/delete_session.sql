-- outbox.delete_session(caller, session, limit) -> is it gone? false: more than `limit` links, call again
--
-- Its summary jobs that have not ended are cancelled, events and memories are no longer linked to it, and what was
-- gathered until its end is due now, as nobody can end it any more. Never waits
-- for a worker: a job that somebody holds at this moment is passed over, and finds no session when it writes.
-- Errors: OX404.

drop function if exists outbox.delete_session;
create function outbox.delete_session(p_caller outbox.caller, p_session uuid, p_limit int default 5000) returns boolean
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_session outbox.sessions;
  v_jobs uuid[];
  v_unlinked int;
begin
  perform outbox.need_read_committed();
  select * into v_session from outbox.sessions s where s.id = p_session for update;
  if v_session.id is null or outbox.sees(v_caller, v_session.team_id, v_session.project_id) is not true then
    perform outbox.refuse(404, 'Session not found');
  end if;
  v_jobs := array(select j.id from outbox.jobs j where j.session_id = p_session and j.event_id is null);
  perform outbox.end_jobs(v_caller, outbox.take_jobs(v_jobs, '{queued,processing,failed}'), 'cancelled',
    'the session was deleted', outbox.clock());
  perform outbox.hasten_gathering(p_session);

  update outbox.events e set session_id = null
  from unnest(array(select x.id from outbox.events x where x.session_id = p_session order by x.id limit p_limit)) u (id)
  where e.id = u.id;
  get diagnostics v_unlinked = row_count;
  if v_unlinked >= p_limit then
    return false;
  end if;
  update outbox.observations o set session_id = null
  where o.id = any (array(select x.id from outbox.observations x where x.session_id = p_session limit p_limit));
  get diagnostics v_unlinked = row_count;
  if v_unlinked >= p_limit then
    return false;
  end if;
  delete from outbox.sessions s where s.id = p_session;
  return true;
end
$$;
