-- outbox.need_interaction_scope(id, project, connection, actor): OX400 unless all are said

create or replace function outbox.need_interaction_scope(p_id text, p_project uuid, p_connection text, p_actor text)
returns void
language plpgsql immutable
as $$
declare
  v_missing text := case
    when coalesce(p_id, '') = '' then 'p_id'
    when p_project is null then 'p_project'
    when coalesce(p_connection, '') = '' then 'p_connection'
    when coalesce(p_actor, '') = '' then 'p_actor'
  end;
begin
  if v_missing is not null then
    perform outbox.refuse(400, v_missing || ': required');
  end if;
  if char_length(p_connection) > 255 or char_length(p_actor) > 255 then
    perform outbox.refuse(400, 'p_connection, p_actor: at most 255 characters');
  end if;
end
$$;
