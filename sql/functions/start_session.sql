-- outbox.start_session(caller, project, external, content, agent, agent_type, platform, metadata, reopen)
--   -> (session_id, made): the one of that identity, or a new one
--
-- A repeated start overwrites nothing: it fills what was null and adds metadata keys that were absent, up to
-- 32 KiB. reopen: an ended session is open again; an open one stays as it is. The insert decides races: of many
-- first starts one makes the row, the others wait for it and hold it, without writing, until they have looked.
-- Errors: OX400, OX404 (project), OX409 (archived).

drop function if exists outbox.start_session;
create function outbox.start_session(
  p_caller outbox.caller, p_project uuid, p_external text default null, p_content text default null,
  p_agent text default null, p_agent_type text default null, p_platform text default null,
  p_metadata jsonb default '{}', p_reopen boolean default false
) returns table (session_id uuid, made boolean)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects := outbox.caller_project(v_caller, p_project);
  v_new outbox.sessions := outbox.session_of(v_project, p_external, p_content, p_agent, p_agent_type, p_platform,
    p_metadata);
  v_old outbox.sessions;
begin
  perform outbox.need_read_committed();
  loop
    insert into outbox.sessions as s select v_new.*
    on conflict (project_id, identity) where identity is not null do update set id = s.id where false;
    if found then
      perform outbox.audit_session(v_caller, v_new, 'session.write');
      return query select v_new.id, true;
      return;
    end if;
    select * into v_old from outbox.sessions s
    where s.project_id = v_project.id and s.identity = v_new.identity for update;
    exit when v_old.created_at > coalesce(v_project.purged_at, '-infinity');
    -- Older than a purge: nobody sees it any more, so nobody is given it.
    update outbox.sessions s set identity = null where s.id = v_old.id;
  end loop;
  perform outbox.fill_session(v_caller, v_old, v_new, coalesce(p_reopen, false));
  return query select v_old.id, false;
end
$$;
