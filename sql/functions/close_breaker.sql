-- outbox.close_breaker(endpoint, quiet): a delivery succeeded; the endpoint, as it was before, is well again
--
-- A rest that it asked for is not cut short.

create or replace function outbox.close_breaker(p_endpoint outbox.endpoints, p_quiet boolean) returns void
language plpgsql
as $$
begin
  update outbox.queues q set probing = false where q.id = (p_endpoint).queue_id and q.probing;
  if (p_endpoint).trips > 0 then
    update outbox.endpoints e set trips = 0 where e.id = (p_endpoint).id;
    if not p_quiet then
      perform outbox.announce((p_endpoint).project_id, 'endpoint.recovered', jsonb_build_object(
        'endpointId', (p_endpoint).id, 'failures', (p_endpoint).consecutive_failures,
        'firstFailureAtEpoch', outbox.ms((p_endpoint).first_failure_at)));
    end if;
  end if;
end
$$;
