-- outbox.producer_project(project) -> the project a SQL producer means, its right to it checked
--
-- p_project; else setting outbox.project; else the one project bound to the role; else the only project.

create or replace function outbox.producer_project(p_project uuid) returns uuid
language plpgsql stable
as $$
begin
  return outbox.choose_project(
    coalesce(p_project, nullif(current_setting('outbox.project', true), '')::uuid), (outbox.me()).project_ids);
end
$$;
