-- outbox.disable_endpoint(endpoint, trigger, class, status, quiet) -> is it this call that disabled it?
--
-- trigger: gone, control, failures, operator. No deliveries are made any more; what waits is held for 7 days. Told by
-- an event, once, unless quiet: what became of such an event is told by none.

drop function if exists outbox.disable_endpoint;
create function outbox.disable_endpoint(
  p_endpoint uuid, p_trigger text, p_class text default null, p_status int default null, p_quiet boolean default false
) returns boolean
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_old outbox.endpoints;
begin
  select * into v_old from outbox.endpoints e where e.id = p_endpoint for update;
  if v_old.id is null or v_old.state = 'disabled' then
    perform outbox.hold_endpoint(p_endpoint);
    return false;
  end if;
  update outbox.endpoints e set state = 'disabled', disabled_reason = p_trigger, disabled_at = v_now,
    updated_at = v_now, revision = e.revision + 1
  where e.id = p_endpoint;
  -- Its own pause is over with it: what waits must be able to end.
  update outbox.queues q set probing = false, paused = q.paused and v_old.state <> 'paused' where q.id = v_old.queue_id;
  perform outbox.hold_endpoint(p_endpoint);
  if not p_quiet then
    perform outbox.announce(v_old.project_id, 'endpoint.disabled', jsonb_build_object('endpointId', p_endpoint,
      'trigger', p_trigger, 'lastStatus', coalesce(p_status, v_old.last_status),
      'class', coalesce(p_class, v_old.last_class)));
  end if;
  return true;
end
$$;
