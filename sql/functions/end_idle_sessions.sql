-- outbox.end_idle_sessions(limit, after, upto) -> (session_id, project_id, job_id): those that this call ended
--
-- An agent that died is summarised too. What somebody holds is left for the next run; limit is 500 at most.

drop function if exists outbox.end_idle_sessions;
create function outbox.end_idle_sessions(p_limit int default 500, p_after uuid default null, p_upto uuid default null)
returns table (session_id uuid, project_id uuid, job_id uuid)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := row(null, null, true, null, 'outboxd', null)::outbox.caller;
  v_idle record;
  v_session outbox.sessions;
  v_end record;
begin
  perform outbox.need_read_committed();
  if p_limit not between 1 and 500 then
    perform outbox.refuse(400, 'p_limit: 1 to 500');
  end if;
  for v_idle in select * from outbox.idle_sessions(p_limit, p_after, p_upto) loop
    select * into v_session from outbox.sessions s where s.id = v_idle.session_id for update skip locked;
    -- Reopened while we looked: it is not quiet any more.
    continue when v_session.id is null or v_session.reopened_at >= v_idle.quiet_since;
    select * into v_end from outbox.close_session(v_caller, v_session, 'idle');
    continue when not v_end.ended;
    session_id := v_session.id;
    project_id := v_session.project_id;
    job_id := v_end.job_id;
    return next;
  end loop;
end
$$;
