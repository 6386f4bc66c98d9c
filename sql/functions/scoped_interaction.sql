-- outbox.scoped_interaction(caller, id, project, connection, actor) -> the question that this person may answer
--
-- The scope of the claim in `answer`, without its state and time. None: the row is null.

create or replace function outbox.scoped_interaction(
  p_caller outbox.caller, p_id text, p_project uuid, p_connection text, p_actor text
) returns outbox.interactions
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_row outbox.interactions;
begin
  select * into v_row from outbox.interactions i
  where i.id = p_id and i.project_id = p_project and i.connection_id = p_connection
    and (i.expected_actor = p_actor or i.expected_actor = '*') and i.kind <> 'suggestion'
    and outbox.sees_interaction(p_caller, i);
  return v_row;
end
$$;
