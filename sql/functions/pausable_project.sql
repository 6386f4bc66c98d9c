-- outbox.pausable_project(caller, project) -> the project whose share is meant; null: the whole queue
--
-- Whole queues are the operator's. A caller with one project means that one; with more it has to name it.

create or replace function outbox.pausable_project(p_caller outbox.caller, p_project uuid) returns uuid
language plpgsql stable
as $$
begin
  if p_project is null and p_caller.everywhere is not true then
    if cardinality(p_caller.project_ids) = 1 then
      return p_caller.project_ids[1];
    end if;
    perform outbox.refuse(403, 'only an operator may do this to the whole queue: name a project');
  end if;
  if p_project is not null then
    perform outbox.find_project(p_caller, p_project);
  end if;
  return p_project;
end
$$;
