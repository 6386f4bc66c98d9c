-- outbox.owed_events(endpoint, after, upto, only, types) -> (event_id, seq, sequenced_at) of that range of its feed
--
-- Events that the endpoint wants as it is now, in feed order. only: `undelivered` leaves out what has a completed
-- or a live delivery to it, `all` what has a live one.

drop function if exists outbox.owed_events;
create function outbox.owed_events(
  p_endpoint outbox.endpoints, p_after bigint, p_upto bigint, p_only text, p_types text[] default null
) returns table (event_id uuid, seq bigint, sequenced_at timestamptz)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_purged timestamptz := coalesce(
    (select p.purged_at from outbox.projects p where p.id = p_endpoint.project_id), '-infinity');
begin
  return query
  select v.id, f.seq, f.sequenced_at
  from outbox.feed f
  cross join lateral (select v.id, v.type, v.payload, v.adapter, v.received_at from outbox.events v
    where v.id = f.event_id and v.expunged_at is null and v.received_at > v_purged
      and coalesce(v.expires_at > v_now, true) offset 0) v
  where f.project_id = p_endpoint.project_id and f.seq > p_after and f.seq <= p_upto
    and (p_types is null or p_types && outbox.candidates(v.type))
    and outbox.wants(p_endpoint, v.type, v.payload, v.adapter)
    and not outbox.delivered(v.id, v.received_at, p_endpoint.queue_id, p_only)
  order by f.seq;
end
$$;
