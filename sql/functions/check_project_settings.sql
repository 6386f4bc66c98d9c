-- outbox.check_project_settings(settings): OX400 for what the settings of a project, nested and whole, cannot be
--
-- Null means the server's default. A bound between two settings holds for what is in effect.

create or replace function outbox.check_project_settings(p_settings jsonb) returns void
language plpgsql stable
as $$
declare
  v_wrong text;
  v_project outbox.projects;
begin
  if jsonb_typeof(p_settings) is distinct from 'object' then
    perform outbox.refuse(400, 'settings: an object');
  end if;
  perform outbox.check_setting_names(p_settings);
  select case when jsonb_typeof(g.value) = 'object' then w.wrong else g.key || ': an object' end into v_wrong
  from jsonb_each(p_settings) g
  left join lateral (
    select outbox.wrong_setting(g.key || '.' || v.key, v.value) as wrong
    from jsonb_each(case when jsonb_typeof(g.value) = 'object' then g.value else '{}' end) v
    where v.value <> 'null' order by v.key) w on true
  where (jsonb_typeof(g.value) <> 'object' and g.value <> 'null') or w.wrong is not null
  order by g.key limit 1;
  v_project.settings := p_settings;
  if v_wrong is null and p_settings -> 'generation' ?| '{quietMs,maxWaitMs}'
      and outbox.project_setting(v_project, 'generation.maxWaitMs')::numeric
        < outbox.project_setting(v_project, 'generation.quietMs')::numeric then
    v_wrong := 'generation.maxWaitMs: at least generation.quietMs';
  end if;
  if v_wrong is not null then
    perform outbox.refuse(400, 'settings.' || v_wrong);
  end if;
end
$$;
