-- after: me
-- outbox.answer(id, project, connection, actor, answer, digest, caller)
--   -> (outcome, interaction_id, answer_event_id, answer)
--
-- outcome: answered (by this call), replayed (by this person, with the same answer, before), already_answered,
-- expired, withdrawn, changed (the digest is another question's), none (wrong project, connection or actor, or no
-- such id: nobody is told which). One statement claims it, with its whole scope, state and time; its event is in the
-- same transaction, and so is whatever the caller adds. Nothing but `answered` changes anything.
-- Errors: OX400 (also: not among the options), OX409 (archived project), OX503 (it keeps moving).

drop function if exists outbox.answer;
create function outbox.answer(
  p_id text, p_project uuid, p_connection text, p_actor text, p_answer jsonb, p_digest text default null,
  p_caller outbox.caller default outbox.me()
) returns table (outcome text, interaction_id text, answer_event_id uuid, answer jsonb)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_digest bytea := decode(outbox.check_answer(p_answer, p_digest), 'hex');
  v_row outbox.interactions;
begin
  perform outbox.need_read_committed();
  perform outbox.need_interaction_scope(p_id, p_project, p_connection, p_actor);
  for v_try in 1 .. 3 loop
    v_row := outbox.scoped_interaction(v_caller, p_id, p_project, p_connection, p_actor);
    if v_row.id is null then
      perform outbox.deny_interaction(v_caller, p_id, p_project, p_connection, p_actor);
      return query select 'none', null::text, null::uuid, null::jsonb;
      return;
    end if;
    outcome := outbox.answer_outcome(v_row, p_actor, p_answer, v_digest);
    if outcome is not null then
      return query select outcome, v_row.id, v_row.answer_event_id,
        case when outcome = 'replayed' then v_row.answer end;
      return;
    end if;
    v_row := outbox.claim_interaction(v_caller, p_id, p_project, p_connection, p_actor, p_answer, v_digest);
    if v_row.id is not null then
      perform outbox.tell_answered(v_caller, v_row);
      return query select 'answered', v_row.id, v_row.answer_event_id, v_row.answer;
      return;
    end if;
  end loop;
  perform outbox.refuse(503, 'the question keeps moving');
end
$$;
