-- outbox.nested_settings(patch) -> a patch of settings, dotted names ("generation.policy") in their groups; else as it is
--
-- OX400 unless it is an object. A dotted name wins over the same in its group.

create or replace function outbox.nested_settings(p_patch jsonb) returns jsonb
language plpgsql immutable
as $$
declare
  v_nested jsonb := '{}';
  v_each record;
  v_group text;
begin
  if jsonb_typeof(p_patch) is distinct from 'object' then
    perform outbox.refuse(400, 'settings: an object');
  end if;
  for v_each in select * from jsonb_each(p_patch) order by strpos(key, '.') > 0, key loop
    v_group := split_part(v_each.key, '.', 1);
    if strpos(v_each.key, '.') = 0 then
      v_nested := v_nested || jsonb_build_object(v_group, v_each.value);
    else
      v_nested := v_nested || jsonb_build_object(v_group,
        case when jsonb_typeof(v_nested -> v_group) = 'object' then v_nested -> v_group else '{}' end
          || jsonb_build_object(substr(v_each.key, char_length(v_group) + 2), v_each.value));
    end if;
  end loop;
  return v_nested;
end
$$;
