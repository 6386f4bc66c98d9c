-- outbox.change_endpoint(caller, id, fields, queue, headers): all of its fields as given, at the next attempt
--
-- Whoever calls holds the row and has laid the changes over what was there. Disabled: its queue is closed, what
-- waits is held; enabled again: it opens at once. Foreign or unknown: OX404; its uid taken: OX409 by the index.

create or replace function outbox.change_endpoint(
  p_caller outbox.caller, p_id uuid, p_fields jsonb, p_queue jsonb, p_headers bytea
) returns void
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.endpoints;
  v_new outbox.endpoints;
begin
  select * into v_old from outbox.endpoints e where e.id = p_id for update;
  if v_old.id is null or not outbox.sees(v_caller, v_old.team_id, v_old.project_id) then
    perform outbox.refuse(404, 'Endpoint not found');
  end if;
  v_new := jsonb_populate_record(v_old, p_fields);
  perform outbox.endpoint_queue(v_old.queue_id, p_queue);
  if v_new.state = 'disabled' then
    perform outbox.disable_endpoint(p_id, 'operator');
  else
    perform outbox.enable_endpoint(p_id);
  end if;
  update outbox.endpoints e set uid = v_new.uid, url = v_new.url, types = v_new.types, contains = v_new.contains,
    excludes = v_new.excludes, state = v_new.state, ordering = v_new.ordering, timeout = v_new.timeout,
    max_age = v_new.max_age, terminal_4xx = v_new.terminal_4xx, max_body_bytes = v_new.max_body_bytes,
    format = v_new.format, signing = v_new.signing, disable_after = v_new.disable_after,
    first_delay = v_new.first_delay, headers = p_headers, description = v_new.description, metadata = v_new.metadata, updated_at = outbox.clock(),
    revision = v_old.revision + 1
  where e.id = p_id;
  perform outbox.wake_queues(array[v_old.queue_id]);
  perform outbox.audit(v_caller, 'endpoint.updated', 'endpoint', p_id::text, v_old.team_id, v_old.project_id,
    jsonb_build_object('revision', v_old.revision + 1, 'state', v_new.state));
end
$$;
