-- outbox.find_memory(caller, memory) -> its row, locked, for a change; else OX404. Of an archived project: OX409

drop function if exists outbox.find_memory;
create function outbox.find_memory(p_caller outbox.caller, p_memory uuid) returns outbox.observations
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_row outbox.observations;
begin
  select o.* into v_row from outbox.observations o join outbox.projects p on p.id = o.project_id
  where o.id = p_memory and o.created_at > coalesce(p.purged_at, '-infinity') for update of o;
  if v_row.id is null or outbox.sees(p_caller, v_row.team_id, v_row.project_id) is not true then
    perform outbox.refuse(404, 'Memory not found');
  end if;
  perform outbox.caller_project(p_caller, v_row.project_id);
  return v_row;
end
$$;
