-- outbox.projects_of(worker) -> the projects whose jobs it may have; null: all

create or replace function outbox.projects_of(p_worker outbox.workers) returns uuid[]
language plpgsql stable
as $$
begin
  if p_worker.team_id is null then
    return p_worker.project_ids;
  end if;
  return array(select p.id from outbox.projects p
    where p.team_id = p_worker.team_id and (p_worker.project_id is null or p.id = p_worker.project_id));
end
$$;
