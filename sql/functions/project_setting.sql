-- after: setting_default
-- outbox.project_setting(project, path) -> the project's setting, else the server's; 'generation.policy' e.g.

create or replace function outbox.project_setting(p_project outbox.projects, p_path text) returns jsonb
language sql stable
as $$
  select coalesce(nullif(p_project.settings #> string_to_array(p_path, '.'), 'null'), outbox.setting_default(p_path))
$$;
