-- outbox.choose_project(project, mine) -> the project that is meant, and may be: else OX400, OX403
--
-- mine: those a producer is bound to, null for any. Without a project: the one it is bound to, else the only one.

create or replace function outbox.choose_project(p_project uuid, p_mine uuid[]) returns uuid
language plpgsql stable
as $$
declare
  v_all uuid[];
begin
  if p_project is null then
    v_all := coalesce(p_mine, array(select p.id from outbox.projects p where p.archived_at is null limit 2));
    if cardinality(v_all) <> 1 then
      perform outbox.refuse(400, 'no project: pass p_project or set outbox.project');
    end if;
    return v_all[1];
  end if;
  if p_mine is not null and not p_project = any (p_mine) then
    perform outbox.refuse(403, 'this role may not publish to that project');
  end if;
  return p_project;
end
$$;
