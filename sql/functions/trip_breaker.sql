-- outbox.trip_breaker(endpoint, now, quiet) -> did it trip? From five failures in a row on its queue rests, and is tried
--
-- 60 s, twice that at each further trip, 15 min at most, +- 20 %. What fails while it rests already, having been sent
-- before, does not count as a trip. Afterwards claims give one delivery at a time.

drop function if exists outbox.trip_breaker;
create function outbox.trip_breaker(p_endpoint outbox.endpoints, p_now timestamptz, p_quiet boolean)
returns boolean
language plpgsql
as $$
declare
  v_rest interval := make_interval(secs => least(60 * 2.0 ^ least((p_endpoint).trips, 10), 900) * (0.8 + 0.4 * random()));
begin
  if (p_endpoint).consecutive_failures < 5 then
    return false;
  end if;
  update outbox.queues q set closed_until = p_now + v_rest, closed_reason = 'endpoint', probing = true
  where q.id = (p_endpoint).queue_id and coalesce(q.closed_until <= p_now, true);
  if not found then
    return false;
  end if;
  update outbox.endpoints e set trips = e.trips + 1 where e.id = (p_endpoint).id;
  if (p_endpoint).trips = 0 and not p_quiet then
    perform outbox.announce((p_endpoint).project_id, 'endpoint.failing', jsonb_build_object(
      'endpointId', (p_endpoint).id, 'failures', (p_endpoint).consecutive_failures,
      'class', (p_endpoint).last_class, 'lastStatus', (p_endpoint).last_status));
  end if;
  return true;
end
$$;
