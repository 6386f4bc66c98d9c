-- outbox.sees(caller, team, project) -> is that row within the caller's tenancy?

create or replace function outbox.sees(p_caller outbox.caller, p_team uuid, p_project uuid) returns boolean
language sql immutable parallel safe
as $$
  select coalesce((p_caller).everywhere, false)
    or (((p_caller).team_id is not null or (p_caller).project_ids is not null)
      and ((p_caller).team_id is null or (p_caller).team_id = p_team)
      and ((p_caller).project_ids is null or p_project = any ((p_caller).project_ids)))
$$;
