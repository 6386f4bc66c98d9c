-- outbox.fill_session(caller, old, given, reopen): what a repeated start may change of a session that is held
--
-- Nothing that was there: nulls are filled, absent metadata keys added while all of it fits 32 KiB, and an ended
-- session reopened where that is wanted. Writes and audits only what changed.

create or replace function outbox.fill_session(
  p_caller outbox.caller, p_old outbox.sessions, p_given outbox.sessions, p_reopen boolean
) returns void
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_new outbox.sessions := p_old;
  v_metadata jsonb := p_given.metadata || p_old.metadata;
  v_filled boolean;
  v_reopened boolean := p_reopen and p_old.ended_at is not null;
begin
  v_new.platform_source := coalesce(p_old.platform_source, p_given.platform_source);
  v_new.external_id := coalesce(p_old.external_id, p_given.external_id);
  v_new.content_session_id := coalesce(p_old.content_session_id, p_given.content_session_id);
  v_new.agent_id := coalesce(p_old.agent_id, p_given.agent_id);
  v_new.agent_type := coalesce(p_old.agent_type, p_given.agent_type);
  v_new.metadata := case when octet_length(v_metadata::text) <= 32768 then v_metadata else p_old.metadata end;
  v_filled := v_new is distinct from p_old;
  if not v_filled and not v_reopened then
    return;
  end if;
  update outbox.sessions s set platform_source = v_new.platform_source, external_id = v_new.external_id,
    content_session_id = v_new.content_session_id, agent_id = v_new.agent_id, agent_type = v_new.agent_type,
    metadata = v_new.metadata, updated_at = v_now,
    ended_at = case when not v_reopened then s.ended_at end,
    reopened_at = case when v_reopened then v_now else s.reopened_at end
  where s.id = p_old.id;
  if v_filled then
    perform outbox.audit_session(p_caller, p_old, 'session.write');
  end if;
  if v_reopened then
    perform outbox.audit_session(p_caller, p_old, 'session.reopen');
  end if;
end
$$;
