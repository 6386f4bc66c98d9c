-- outbox.tell_dead(items): deliveries among those that failed for good are told by an event each
--
-- delivery.blocked where the target must not be called, else delivery.exhausted. None of what we told ourselves.

create or replace function outbox.tell_dead(p_items outbox.settling[]) returns void
language plpgsql
as $$
declare
  v_dead record;
begin
  for v_dead in
    select e.project_id, e.id, j.event_id, i.job_id, i.attempt, i.class, i.status
    from unnest(p_items) i
    join outbox.endpoints e on e.queue_id = i.queue_id
    cross join lateral (select j.event_id from outbox.jobs j where j.id = i.job_id offset 0) j
    where i.state = 'failed'
  loop
    continue when outbox.is_operational(v_dead.event_id);
    perform outbox.announce(v_dead.project_id,
      case when v_dead.class = 'blocked' then 'delivery.blocked' else 'delivery.exhausted' end, jsonb_build_object(
        'endpointId', v_dead.id, 'eventId', v_dead.event_id, 'jobId', v_dead.job_id, 'attempts', v_dead.attempt,
        'class', v_dead.class, 'lastStatus', v_dead.status));
  end loop;
end
$$;
