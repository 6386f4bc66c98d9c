-- outbox.producer_project(project) -> the project a SQL producer means, its right to it checked
--
-- p_project; else setting outbox.project; else the one project bound to the role; else the only project.

create or replace function outbox.producer_project(p_project uuid) returns uuid
language plpgsql stable
as $$
declare
  v_mine uuid[] := (outbox.me()).project_ids;
  v_project uuid := coalesce(p_project, nullif(current_setting('outbox.project', true), '')::uuid);
  v_all uuid[];
begin
  if v_project is null then
    v_all := coalesce(v_mine, array(select p.id from outbox.projects p where p.archived_at is null limit 2));
    if cardinality(v_all) <> 1 then
      perform outbox.refuse(400, 'no project: pass p_project or set outbox.project');
    end if;
    return v_all[1];
  end if;
  if v_mine is not null and not v_project = any (v_mine) then
    perform outbox.refuse(403, 'this role may not publish to that project');
  end if;
  return v_project;
end
$$;
