-- outbox.deny_interaction(caller, id, project, connection, actor): nothing was done, since the scope is wrong
--
-- Only the trail says what was wrong, and of another tenant's only that it is unknown; an unknown id costs the same
-- row as a known one.

create or replace function outbox.deny_interaction(
  p_caller outbox.caller, p_id text, p_project uuid, p_connection text, p_actor text default null
) returns void
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_row outbox.interactions;
begin
  select * into v_row from outbox.interactions i where i.id = p_id and outbox.sees_interaction(p_caller, i);
  perform outbox.audit(p_caller, 'interaction.denied', 'interaction', left(p_id, 128),
    coalesce(v_row.team_id, p_caller.team_id),
    coalesce(v_row.project_id, case when cardinality(p_caller.project_ids) = 1 then p_caller.project_ids[1] end),
    jsonb_build_object('connectionId', p_connection, 'actor', p_actor, 'reason', case
      when v_row.id is null then 'unknown'
      when v_row.project_id <> p_project then 'project'
      when v_row.connection_id <> p_connection then 'connection'
      when p_actor is null or v_row.expected_actor in (p_actor, '*') then 'kind'
      else 'actor' end));
end
$$;
