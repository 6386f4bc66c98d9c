-- outbox.sees_interaction(caller, row) -> is it within the caller's tenancy, and younger than a purge?

create or replace function outbox.sees_interaction(p_caller outbox.caller, p_row outbox.interactions) returns boolean
language sql stable
as $$
  select outbox.sees(p_caller, (p_row).team_id, (p_row).project_id) and (p_row).created_at > coalesce(
    (select p.purged_at from outbox.projects p where p.id = (p_row).project_id), '-infinity')
$$;
