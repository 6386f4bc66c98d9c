-- outbox.note_delivery(endpoint, event, class, status, result, closed, disabled) -> did its breaker open?
--
-- What an answer means for the target itself. class null: nothing to remember of it. result: `success` ends a row of
-- failures, `failure` goes on with it, null counts for neither. closed: its queue rests that long, never shorter than
-- it rests already. disabled: why it gets nothing more; an endpoint that is disabled already keeps its first reason.
-- Unknown endpoint: nothing. Called in the transaction that settles the attempt.

drop function if exists outbox.note_delivery;
create function outbox.note_delivery(
  p_endpoint uuid, p_event uuid, p_class text, p_status int, p_result text, p_closed interval, p_disabled text
) returns boolean
language plpgsql
as $$
declare
  v_opened boolean := false;
  v_now timestamptz := outbox.clock();
  v_quiet boolean := outbox.is_operational(p_event);
  v_old outbox.endpoints;
  v_new outbox.endpoints;
begin
  select * into v_old from outbox.endpoints e where e.id = p_endpoint for update;
  update outbox.endpoints e set last_class = coalesce(p_class, e.last_class),
    last_status = case when p_class is null then e.last_status else p_status end,
    last_success_at = case when p_result = 'success' then v_now else e.last_success_at end,
    last_failure_at = case when p_class is null or p_result = 'success' then e.last_failure_at else v_now end,
    consecutive_failures = case p_result when 'success' then 0 when 'failure' then e.consecutive_failures + 1
      else e.consecutive_failures end,
    first_failure_at = case p_result when 'success' then null when 'failure' then coalesce(e.first_failure_at, v_now)
      else e.first_failure_at end
  where e.id = p_endpoint returning * into v_new;
  if p_result = 'success' then
    perform outbox.close_breaker(v_old, v_quiet);
  end if;
  if p_disabled is not null or (p_result = 'failure' and outbox.worn_out(v_new, v_now)) then
    perform outbox.disable_endpoint(p_endpoint, coalesce(p_disabled, 'failures'), p_class, p_status, v_quiet);
    return false;
  end if;
  if p_result = 'failure' then
    v_opened := outbox.trip_breaker(v_new, v_now, v_quiet);
  end if;
  update outbox.queues q set closed_until = v_now + p_closed, closed_reason = 'endpoint'
  where q.id = v_new.queue_id and coalesce(q.closed_until < v_now + p_closed, p_closed is not null);
  return v_opened;
end
$$;
