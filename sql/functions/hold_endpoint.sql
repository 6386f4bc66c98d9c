-- outbox.hold_endpoint(endpoint): what waits for a disabled endpoint is let be for 7 days; nothing if it is not disabled
--
-- Its queue is closed until then, so the backlog costs no claim. Afterwards whoever claims a delivery cancels it.

create or replace function outbox.hold_endpoint(p_endpoint uuid) returns void
language plpgsql
as $$
declare
  v_endpoint outbox.endpoints;
begin
  -- Enabling takes the same lock, so that it cannot be overtaken by somebody who saw the endpoint disabled.
  select * into v_endpoint from outbox.endpoints e where e.id = p_endpoint for update;
  if v_endpoint.state = 'disabled' then
    update outbox.queues q set closed_until = v_endpoint.disabled_at + interval '7 days', closed_reason = 'endpoint'
    where q.id = v_endpoint.queue_id;
  end if;
end
$$;
