-- outbox.revive_endpoint(endpoint) -> was it paused or closed, and goes on now? One that is not disabled
--
-- Its failures are forgotten; if there were any, one delivery at a time tries it until one succeeds.

drop function if exists outbox.revive_endpoint;
create function outbox.revive_endpoint(p_endpoint outbox.endpoints) returns boolean
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_sick boolean := p_endpoint.consecutive_failures > 0;
  v_shut boolean := (select coalesce(q.closed_until > v_now, false) or q.paused
    from outbox.queues q where q.id = p_endpoint.queue_id);
begin
  if p_endpoint.state = 'enabled' and not v_sick and not v_shut then
    return false;
  end if;
  update outbox.endpoints e set state = 'enabled', consecutive_failures = 0, first_failure_at = null, trips = 0,
    updated_at = v_now, revision = e.revision + 1
  where e.id = p_endpoint.id;
  update outbox.queues q set paused = q.paused and p_endpoint.state <> 'paused', closed_until = null,
    closed_reason = null, probing = v_sick
  where q.id = p_endpoint.queue_id;
  perform outbox.wake_queues(array[p_endpoint.queue_id]);
  return true;
end
$$;
