-- outbox.new_interaction(caller, project, row, ttl) -> the row with all that is not said of it but known
--
-- The digest is over what is shown and to whom: a changed question is another one.

create or replace function outbox.new_interaction(
  p_caller outbox.caller, p_project outbox.projects, p_row outbox.interactions, p_ttl interval
) returns outbox.interactions
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  p_row.team_id := p_project.team_id;
  p_row.project_id := p_project.id;
  p_row.state := 'pending';
  p_row.uses := 0;
  p_row.request_id := p_caller.request_id;
  p_row.asked_by_key := p_caller.key_id;
  p_row.asked_by := p_caller.actor;
  p_row.created_at := v_now;
  p_row.expires_at := v_now + p_ttl;
  p_row.digest := sha256(convert_to(jsonb_build_array(p_row.connection_id, p_row.expected_actor, p_row.kind,
    p_row.prompt, p_row.options, p_row.context, p_row.free_text)::text, 'UTF8'));
  return p_row;
end
$$;
