-- outbox.session_identity(platform, external, content, agent, agent_type) -> SHA-256 of what makes it the same
-- session again, null when nothing does
--
-- An external id wins over a content id, that over an agent. Platform as `platform_of` says it.

drop function if exists outbox.session_identity;
create function outbox.session_identity(
  p_platform text, p_external text, p_content text, p_agent text, p_agent_type text
) returns bytea
language sql stable parallel safe
as $$
  select sha256(convert_to(case
      when p_external is not null then jsonb_build_array('external', p_platform, p_external)
      when p_content is not null then jsonb_build_array('content', p_platform, p_agent, p_content)
      when p_agent is not null and p_platform is not null
        then jsonb_build_array('agent', p_platform, p_agent, p_agent_type)
    end::text, 'UTF8'))
$$;
