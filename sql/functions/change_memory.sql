-- outbox.change_memory(caller, memory, changes, revision) -> its id
--
-- Changes: content, kind, metadata, each replaced whole. `revision`: the one it has to have, else OX412. Found by its
-- new words from then on. Errors: OX404, OX409 (archived).

drop function if exists outbox.change_memory;
create function outbox.change_memory(
  p_caller outbox.caller, p_memory uuid, p_changes jsonb, p_revision int default null
) returns uuid
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_row outbox.observations := outbox.find_memory(v_caller, p_memory);
begin
  perform outbox.check_changes(p_changes, '{content,kind,metadata}');
  if v_row.revision <> p_revision then
    perform outbox.refuse(412, 'the memory was changed meanwhile');
  end if;
  v_row.content := coalesce(p_changes ->> 'content', v_row.content);
  v_row.kind := coalesce(p_changes ->> 'kind', v_row.kind);
  v_row.metadata := coalesce(p_changes -> 'metadata', v_row.metadata);
  update outbox.observations o set content = v_row.content, kind = v_row.kind, metadata = v_row.metadata,
    revision = o.revision + 1, updated_at = outbox.clock(),
    search = outbox.memory_vector(o.project_id, v_row.content, v_row.metadata)
  where o.id = p_memory;
  perform outbox.audit(v_caller, 'memory.updated', 'observation', p_memory::text, v_row.team_id, v_row.project_id,
    jsonb_build_object('changed', (select jsonb_agg(c.name order by c.name) from jsonb_object_keys(p_changes) c (name)),
      'revision', v_row.revision + 1));
  return p_memory;
end
$$;
