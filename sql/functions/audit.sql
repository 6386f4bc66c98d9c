-- outbox.audit(caller, action, resource_type, resource, team, project, details): one row of the trail
--
-- What came by the command line says so, and what came by the console: via.

create or replace function outbox.audit(
  p_caller outbox.caller, p_action text, p_resource_type text, p_resource text,
  p_team uuid, p_project uuid, p_details jsonb default '{}'
) returns void
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  insert into outbox.audit_log (id, at, team_id, project_id, actor, key_id, action, resource_type,
    resource_id, request_id, details)
  values (outbox.uuid7(v_now), v_now, p_team, p_project, p_caller.actor, p_caller.key_id, p_action,
    p_resource_type, p_resource, p_caller.request_id, jsonb_strip_nulls(p_details)
      || case when p_caller.actor like 'cli:%' then '{"via": "cli"}'
        -- Said for its transaction by a daemon that serves the console.
        when current_setting('outbox.via', true) = 'console' and outbox.is_daemon() then '{"via": "console"}'
        else '{}' end::jsonb);
end
$$;
