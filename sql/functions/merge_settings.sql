-- outbox.merge_settings(settings, patch) -> the settings of a project after a merge patch (RFC 7396)
--
-- Nested or dotted; null removes, the whole patch null removes all. An unknown name is OX400 also where it is null.

create or replace function outbox.merge_settings(p_settings jsonb, p_patch jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_patch jsonb;
  v_group record;
  v_merged jsonb := coalesce(p_settings, '{}');
begin
  if coalesce(p_patch, 'null') = 'null' then
    return '{}';
  end if;
  v_patch := outbox.nested_settings(p_patch);
  perform outbox.check_setting_names(v_patch);
  for v_group in select * from jsonb_each(v_patch) loop
    v_merged := case jsonb_typeof(v_group.value)
      when 'object' then v_merged || jsonb_build_object(v_group.key,
        jsonb_strip_nulls(coalesce(v_merged -> v_group.key, '{}') || v_group.value))
      when 'null' then v_merged - v_group.key
      else v_merged || jsonb_build_object(v_group.key, v_group.value) end;
    if v_merged -> v_group.key = '{}' then
      v_merged := v_merged - v_group.key;
    end if;
  end loop;
  return v_merged;
end
$$;
