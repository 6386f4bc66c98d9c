-- outbox.claim_interaction(caller, id, project, connection, actor, answer, digest) -> the row it answered, or null
--
-- One statement, with the whole scope, the state and the time: whoever it matches has won.

create or replace function outbox.claim_interaction(
  p_caller outbox.caller, p_id text, p_project uuid, p_connection text, p_actor text, p_answer jsonb, p_digest bytea
) returns outbox.interactions
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_row outbox.interactions;
begin
  update outbox.interactions i
  set state = 'answered', answered_at = outbox.clock(), answered_by = p_actor, answer = p_answer,
    answer_event_id = outbox.uuid7(outbox.clock()), ended_at = outbox.clock()
  where i.id = p_id and i.project_id = p_project and i.connection_id = p_connection
    and (i.expected_actor = p_actor or i.expected_actor = '*') and i.kind <> 'suggestion'
    and i.state = 'pending' and i.expires_at > outbox.clock() and (p_digest is null or i.digest = p_digest)
    and outbox.sees_interaction(p_caller, i)
  returning i.* into v_row;
  return v_row;
end
$$;
