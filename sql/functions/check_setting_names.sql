-- outbox.check_setting_names(settings): OX400 for a group or a name that no setting of a project has

create or replace function outbox.check_setting_names(p_settings jsonb) returns void
language plpgsql immutable
as $$
declare
  v_wrong text;
begin
  select left(coalesce(g.key || '.' || v.key, g.key), 100) into v_wrong
  from jsonb_each(p_settings) g
  left join lateral jsonb_object_keys(case when jsonb_typeof(g.value) = 'object' then g.value else '{}' end) v (key) on true
  where not exists (select from outbox.setting_shapes() s
    where case when v.key is null then split_part(s.path, '.', 1) = g.key else s.path = g.key || '.' || v.key end)
  order by g.key, v.key limit 1;
  if v_wrong is not null then
    perform outbox.refuse(400, 'settings.' || v_wrong || ': no such setting');
  end if;
end
$$;
