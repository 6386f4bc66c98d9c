-- after: me
-- outbox.ask(project, connection, actor, prompt, id, kind, options, free_text, context, ttl, session, max_uses,
--   traceparent, caller) -> the question as it stands, duplicate
--
-- New: it is pending, and `interaction.asked` is published with it. The same id in the same scope with the same
-- content: that question as it is, nothing of it moved, `duplicate`. Without an id every call is a new question.
-- Errors: OX400, OX403 (project, session), OX409 (the id is taken; the question has changed; archived project),
-- OX429 (more than 10,000 wait in the project).

drop function if exists outbox.ask;
create function outbox.ask(
  p_project uuid, p_connection text, p_actor text, p_prompt jsonb, p_id text default null,
  p_kind text default 'question', p_options jsonb default null, p_free_text boolean default null,
  p_context jsonb default '{}', p_ttl interval default '24 hours', p_session uuid default null,
  p_max_uses int default null, p_traceparent text default null, p_caller outbox.caller default outbox.me()
) returns table (interaction_id text, state text, digest text, created_at timestamptz, expires_at timestamptz,
  answered_at timestamptz, answered_by text, answer jsonb, answer_event_id uuid, ended_reason text, duplicate boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects := outbox.asking_project(v_caller, p_project, p_session);
  v_row outbox.interactions;
  v_old outbox.interactions;
begin
  perform outbox.need_read_committed();
  v_row.id := coalesce(p_id, gen_random_uuid()::text);
  v_row.connection_id := p_connection;
  v_row.expected_actor := p_actor;
  v_row.kind := p_kind;
  v_row.prompt := p_prompt;
  v_row.options := nullif(p_options, 'null');
  v_row.context := p_context;
  v_row.free_text := coalesce(p_free_text, v_row.options is null);
  v_row.session_id := p_session;
  v_row.max_uses := coalesce(p_max_uses, case when p_kind = 'suggestion' then 1000 end);
  v_row.traceparent := p_traceparent;
  perform outbox.check_interaction(v_row, p_ttl);
  v_row := outbox.new_interaction(v_caller, v_project, v_row, p_ttl);
  v_old := outbox.keep_interaction(v_row);
  if v_old.id is null then
    perform outbox.tell_asked(v_caller, v_row);
  else
    perform outbox.need_same_question(v_old, v_row);
    v_row := v_old;
  end if;
  return query select v_row.id, outbox.interaction_state(v_row), encode(v_row.digest, 'hex'), v_row.created_at,
    v_row.expires_at, v_row.answered_at, v_row.answered_by, v_row.answer, v_row.answer_event_id, v_row.ended_reason,
    v_old.id is not null;
end
$$;
