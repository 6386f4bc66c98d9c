-- outbox.open_endpoint(caller, id, project, fields, queue, headers): a webhook target and its queue
--
-- Whoever calls has checked the fields (columns of `endpoints`) and sealed what is secret for this id. Its keys
-- are added in the same transaction. Foreign project: OX404, archived: OX409; more than 100 of a project, or its uid taken: OX409.

drop function if exists outbox.open_endpoint;
create function outbox.open_endpoint(
  p_caller outbox.caller, p_id uuid, p_project uuid, p_fields jsonb, p_queue jsonb, p_headers bytea
) returns void
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_usual constant jsonb := '{"format": "standard", "signing": "v1", "disable_after": "120 h", "first_delay": "0",
    "consecutive_failures": 0, "trips": 0}';
  v_project outbox.projects := outbox.caller_project(v_caller, p_project);
  v_new outbox.endpoints := jsonb_populate_record(null::outbox.endpoints, v_usual || p_fields);
begin
  if (select count(*) from outbox.endpoints e where e.project_id = v_project.id) >= 100 then
    perform outbox.refuse(409, 'this project has 100 endpoints', 'LimitReached');
  end if;
  v_new.id := p_id;
  v_new.team_id := v_project.team_id;
  v_new.project_id := v_project.id;
  v_new.queue_id := outbox.open_queue('endpoint:' || p_id, 'deliver', v_project.team_id);
  v_new.headers := p_headers;
  v_new.created_at := v_now;
  v_new.updated_at := v_now;
  v_new.revision := 1;
  insert into outbox.endpoints select v_new.* on conflict (project_id, uid) where uid is not null do nothing;
  if not found then
    perform outbox.refuse(409, 'another endpoint of this project has this uid');
  end if;
  perform outbox.endpoint_queue(v_new.queue_id, p_queue);
  perform outbox.audit(v_caller, 'endpoint.created', 'endpoint', p_id::text, v_project.team_id, v_project.id);
end
$$;
