-- outbox.merge_patch(target, patch) -> the target after a merge patch (RFC 7396): null removes

create or replace function outbox.merge_patch(p_target jsonb, p_patch jsonb) returns jsonb
language plpgsql immutable
as $$
declare
  v_merged jsonb := case when jsonb_typeof(p_target) = 'object' then p_target else '{}' end;
  v_each record;
begin
  if jsonb_typeof(p_patch) <> 'object' then
    return p_patch;
  end if;
  for v_each in select * from jsonb_each(p_patch) loop
    v_merged := case when v_each.value = 'null' then v_merged - v_each.key
      else v_merged || jsonb_build_object(v_each.key, outbox.merge_patch(v_merged -> v_each.key, v_each.value)) end;
  end loop;
  return v_merged;
end
$$;
