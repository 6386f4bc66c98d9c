-- outbox.answer_outcome(row, actor, answer, digest) -> why it cannot be answered now; null: it can
--
-- Raises OX400 for an answer that the question does not allow.

create or replace function outbox.answer_outcome(
  p_row outbox.interactions, p_actor text, p_answer jsonb, p_digest bytea
) returns text
language plpgsql
as $$
declare
  v_state text := outbox.interaction_state(p_row);
begin
  if v_state = 'answered' then
    return case when p_row.answered_by = p_actor and p_row.answer = p_answer then 'replayed' else 'already_answered' end;
  elsif v_state <> 'pending' then
    return v_state;
  elsif p_row.digest <> p_digest then
    return 'changed';
  end if;
  if not p_row.free_text and not exists (
    select from jsonb_array_elements(p_row.options) o where o -> 'value' = p_answer) then
    perform outbox.refuse(400, 'p_answer: not among the options');
  end if;
  return null;
end
$$;
