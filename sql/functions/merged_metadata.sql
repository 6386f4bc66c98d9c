-- outbox.merged_metadata(metadata, changes) -> it after the patch in `changes`, if there is one; OX400 above 64 KiB

create or replace function outbox.merged_metadata(p_metadata jsonb, p_changes jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  if p_changes ? 'metadata' then
    p_metadata := case when p_changes -> 'metadata' = 'null' then '{}'
      else outbox.merge_patch(p_metadata, p_changes -> 'metadata') end;
  end if;
  if octet_length(p_metadata::text) > 65536 then
    perform outbox.refuse(400, 'metadata: at most 64 KiB');
  end if;
  return p_metadata;
end
$$;
