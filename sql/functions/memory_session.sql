-- outbox.memory_session(project, memory) -> the session that a memory names, by id or by content id; null: none
--
-- A session of another project: OX403. A content id that no session has links to nothing.

drop function if exists outbox.memory_session;
create function outbox.memory_session(p_project outbox.projects, p_memory jsonb) returns uuid
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_session uuid;
begin
  if p_memory ->> 'session' is not null then
    select s.id into v_session from outbox.sessions s
    where s.id = (p_memory ->> 'session')::uuid and s.project_id = p_project.id and s.team_id = p_project.team_id
      and s.created_at > coalesce(p_project.purged_at, '-infinity');
    if v_session is null then
      perform outbox.refuse(403, 'server_session_id must belong to project_id and team_id');
    end if;
    return v_session;
  end if;
  return (
    select s.id from outbox.sessions s
    where s.project_id = p_project.id and s.content_session_id = p_memory ->> 'contentSession'
      and ((p_memory ->> 'anyPlatform')::boolean or s.platform_source is not distinct from p_memory ->> 'platform')
      and s.created_at > coalesce(p_project.purged_at, '-infinity')
    order by s.created_at desc, s.id desc limit 1);
end
$$;
