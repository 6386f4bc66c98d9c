-- outbox.session_of(project, external, content, agent, agent_type, platform, metadata) -> a new session's row
--
-- Empty names are none. OX400 names what is too long.

drop function if exists outbox.session_of;
create function outbox.session_of(
  p_project outbox.projects, p_external text, p_content text, p_agent text, p_agent_type text, p_platform text,
  p_metadata jsonb
) returns outbox.sessions
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_row outbox.sessions;
  v_wrong text := case
    when char_length(p_external) > 512 then 'p_external: at most 512 characters'
    when char_length(p_content) > 512 then 'p_content: at most 512 characters'
    when char_length(p_agent) > 255 then 'p_agent: at most 255 characters'
    when char_length(p_agent_type) > 255 then 'p_agent_type: at most 255 characters'
    when char_length(p_platform) > 64 then 'p_platform: at most 64 characters'
    when jsonb_typeof(p_metadata) <> 'object' then 'p_metadata: an object'
  end;
begin
  if v_wrong is not null then
    perform outbox.refuse(400, v_wrong);
  end if;
  v_row.id := outbox.uuid7(v_now);
  v_row.team_id := p_project.team_id;
  v_row.project_id := p_project.id;
  v_row.platform_source := outbox.platform_of(p_platform);
  v_row.external_id := nullif(p_external, '');
  v_row.content_session_id := nullif(p_content, '');
  v_row.agent_id := nullif(p_agent, '');
  v_row.agent_type := nullif(p_agent_type, '');
  v_row.metadata := coalesce(p_metadata, '{}');
  v_row.identity := outbox.session_identity(v_row.platform_source, v_row.external_id, v_row.content_session_id,
    v_row.agent_id, v_row.agent_type);
  v_row.started_at := v_now;
  v_row.created_at := v_now;
  v_row.updated_at := v_now;
  v_row.end_count := 0;
  v_row.ended_events := 0;
  return v_row;
end
$$;
