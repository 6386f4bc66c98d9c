-- outbox.delivered(event, received, queue, only) -> has it a live delivery there, or, if only `undelivered`, a completed one?
--
-- Jobs of an event are not older than it is, which spares the look into older partitions.

drop function if exists outbox.delivered;
create function outbox.delivered(p_event uuid, p_received timestamptz, p_queue int, p_only text) returns boolean
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_from uuid := outbox.uuid7_floor(p_received - interval '1 hour');
  v_barring text[] := case when p_only = 'all' then '{queued,processing}' else '{queued,processing,completed}' end;
begin
  return exists (
    select from outbox.jobs j
    cross join lateral outbox.job_state(j.id) s
    where j.event_id = p_event and j.id >= v_from and j.queue_id = p_queue and s.state = any (v_barring));
end
$$;
