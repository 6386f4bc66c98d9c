-- outbox.need_same_question(old, new): OX409 unless asking `new` is asking `old` again
--
-- The same words whoever has the id. Approving one thing must not approve another: a changed question needs a new id.

create or replace function outbox.need_same_question(p_old outbox.interactions, p_new outbox.interactions) returns void
language plpgsql
as $$
begin
  if (p_old.team_id, p_old.project_id, p_old.connection_id, p_old.expected_actor)
     is distinct from (p_new.team_id, p_new.project_id, p_new.connection_id, p_new.expected_actor) then
    perform outbox.refuse(409, 'id is taken');
  end if;
  if p_old.digest <> p_new.digest then
    perform outbox.refuse(409, 'the question has changed: a changed question needs a new id');
  end if;
end
$$;
