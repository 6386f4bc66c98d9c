-- outbox.import_rows(caller, project, kind, rows) -> how many were not there: session, event, observation or endpoint
--
-- Rows are those of the table, as JSON; what is there already, by id, stays as it is. Team and project are the
-- caller's word. Nothing follows from it: no feed, no job, no delivery. A session is ended, and knows its events, so
-- that no summary is made of it; an endpoint is disabled, since its secrets are not in an export. Operators only (OX403).

drop function if exists outbox.import_rows;
create function outbox.import_rows(p_caller outbox.caller, p_project uuid, p_kind text, p_rows jsonb) returns int
language plpgsql
set jit = off set enable_seqscan = off
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects := outbox.find_project(v_caller, p_project);
  v_whose jsonb := jsonb_build_object('team_id', v_project.team_id, 'project_id', v_project.id);
begin
  perform outbox.need_operator(v_caller);
  case p_kind
    when 'session' then return outbox.import_sessions(v_whose, p_rows);
    when 'event' then return outbox.import_events(v_whose, p_rows);
    when 'observation' then return outbox.import_observations(v_whose, p_rows);
    when 'endpoint' then return outbox.import_endpoints(v_whose, p_rows);
    else perform outbox.refuse(400, 'kind: session, event, observation or endpoint');
  end case;
end
$$;
