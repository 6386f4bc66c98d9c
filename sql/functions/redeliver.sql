-- outbox.redeliver(caller, endpoint, job) -> (job_id, made): the same event once more, at the end of its lane
--
-- If a delivery of that event to it is live, that one. Disabled, or the event is gone: OX409. Foreign or unknown
-- endpoint, or no delivery of its: OX404.

drop function if exists outbox.redeliver;
create function outbox.redeliver(p_caller outbox.caller, p_endpoint uuid, p_job uuid)
returns table (job_id uuid, made boolean)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_endpoint outbox.endpoints := outbox.lock_endpoint(v_caller, p_endpoint);
  v_event outbox.events;
  v_live uuid;
begin
  perform outbox.need_read_committed();
  v_event.id := (select j.event_id from outbox.jobs j where j.id = p_job and j.queue_id = v_endpoint.queue_id);
  select * into v_event from outbox.events v where v.id = v_event.id and v.project_id = v_endpoint.project_id;
  if v_event.id is null then
    perform outbox.refuse(404, 'Delivery not found');
  end if;
  select min(j.id::text)::uuid into v_live
  from (select j.id from outbox.jobs j where j.event_id = v_event.id and j.queue_id = v_endpoint.queue_id
    and j.id >= outbox.uuid7_floor(v_event.received_at - interval '1 hour') offset 0) j
  cross join lateral outbox.job_state(j.id) s
  where s.state in ('queued', 'processing');
  if v_live is not null then
    return query select v_live, false;
    return;
  elsif v_endpoint.state = 'disabled' then
    perform outbox.refuse(409, 'the endpoint is disabled: nothing is delivered to it');
  elsif v_event.expunged_at is not null or v_event.expires_at <= outbox.clock() then
    perform outbox.refuse(409, 'the event is gone: it was expunged, or it has expired');
  end if;
  v_live := (outbox.make_deliveries(v_endpoint, array[v_event.id], 0, outbox.clock(), 1))[1];
  perform outbox.audit(v_caller, 'endpoint.redelivered', 'endpoint', p_endpoint::text, v_endpoint.team_id,
    v_endpoint.project_id, jsonb_build_object('eventId', v_event.id, 'jobId', v_live, 'after', p_job));
  return query select v_live, true;
end
$$;
