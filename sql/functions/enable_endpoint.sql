-- outbox.enable_endpoint(endpoint) -> was it disabled, and is enabled now?
--
-- Its failures are forgotten, what waited is due, and one delivery at a time tries it until one succeeds. Told by an
-- event.

drop function if exists outbox.enable_endpoint;
create function outbox.enable_endpoint(p_endpoint uuid) returns boolean
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_old outbox.endpoints;
begin
  select * into v_old from outbox.endpoints e where e.id = p_endpoint and e.state = 'disabled' for update;
  if v_old.id is null then
    return false;
  end if;
  update outbox.endpoints e set state = 'enabled', disabled_reason = null, disabled_at = null,
    consecutive_failures = 0, first_failure_at = null, trips = 0, updated_at = v_now, revision = e.revision + 1
  where e.id = p_endpoint;
  update outbox.queues q set closed_until = null, closed_reason = null, probing = true where q.id = v_old.queue_id;
  perform outbox.wake_queues(array[v_old.queue_id]);
  perform outbox.announce(v_old.project_id, 'endpoint.enabled', jsonb_build_object('endpointId', p_endpoint));
  return true;
end
$$;
