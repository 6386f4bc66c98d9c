-- outbox.tell_blocked(queue, project, key, job): a lane stands behind a dead head, which a person must retry or cancel
--
-- The lane of an endpoint says whose it is, and is silent where its head was an event of ours about deliveries.

create or replace function outbox.tell_blocked(p_queue int, p_project uuid, p_key text, p_job uuid) returns void
language plpgsql
as $$
declare
  v_endpoint uuid := (select e.id from outbox.endpoints e where e.queue_id = p_queue);
  v_event uuid;
begin
  select j.event_id into v_event from outbox.jobs j where j.id = p_job;
  if v_endpoint is not null and outbox.is_operational(v_event) then
    return;
  end if;
  perform outbox.announce(p_project, 'lane.blocked', jsonb_build_object(
      'queue', (select q.name from outbox.queues q where q.id = p_queue), 'orderingKey', p_key, 'jobId', p_job)
    || case when v_endpoint is null then '{}' else jsonb_build_object('endpointId', v_endpoint, 'eventId', v_event) end);
end
$$;
