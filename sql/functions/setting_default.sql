-- after: setting_shapes
-- outbox.setting_default(path) -> what the server says where a project says nothing; null: no value, unknown: null
--
-- The daemon writes text, also lists (as JSON); the empty text says that there is no value.

create or replace function outbox.setting_default(p_path text) returns jsonb
language sql stable
as $$
  select case
      when w.value is null then s.fallback
      when w.value = '' then null
      when s.kind in ('choice', 'provider', 'text') then to_jsonb(w.value)
      else w.value::jsonb end
  from outbox.setting_shapes() s
  left join outbox.settings w on w.name = s.name
  where s.path = p_path
$$;
