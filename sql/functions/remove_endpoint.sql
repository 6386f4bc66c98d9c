-- outbox.remove_endpoint(caller, id): gone, with its secrets; nothing is delivered to it after the commit
--
-- Its queue is closed, and what waits there is ended in batches: `end_deliveries`. Foreign or unknown: OX404.

create or replace function outbox.remove_endpoint(p_caller outbox.caller, p_id uuid) returns void
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_old outbox.endpoints := outbox.lock_endpoint(v_caller, p_id);
begin
  delete from outbox.endpoints e where e.id = p_id;
  update outbox.queues q set closed_until = v_now + interval '2 days', closed_reason = 'endpoint', probing = false
  where q.id = v_old.queue_id;
  insert into outbox.endpoint_ends (queue_id, endpoint_id, ended_at) values (v_old.queue_id, p_id, v_now);
  perform outbox.audit(v_caller, 'endpoint.deleted', 'endpoint', p_id::text, v_old.team_id, v_old.project_id);
end
$$;
