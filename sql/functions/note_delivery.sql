-- outbox.note_delivery(endpoint, class, status, success, closed, disabled): what an answer means for the target itself
--
-- class null: nothing to remember of it. closed: its queue rests that long, never shorter than it rests already.
-- disabled: why it gets nothing more; an endpoint that is disabled already keeps its first reason. Unknown endpoint:
-- nothing. Called in the transaction that settles the attempt.

create or replace function outbox.note_delivery(
  p_endpoint uuid, p_class text, p_status int, p_success boolean, p_closed interval, p_disabled text
) returns void
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  if p_class is not null then
    update outbox.endpoints e set last_class = p_class, last_status = p_status,
      last_success_at = case when p_success then v_now else e.last_success_at end,
      last_failure_at = case when p_success then e.last_failure_at else v_now end
    where e.id = p_endpoint and e.last_class is distinct from p_class;
  end if;
  if p_disabled is not null then
    update outbox.endpoints e set state = 'disabled', disabled_reason = p_disabled, disabled_at = v_now,
      updated_at = v_now, revision = e.revision + 1
    where e.id = p_endpoint and e.state <> 'disabled';
    perform outbox.hold_endpoint(p_endpoint);
  elsif p_closed is not null then
    update outbox.queues q set closed_until = v_now + p_closed, closed_reason = 'endpoint'
    where q.id = (select e.queue_id from outbox.endpoints e where e.id = p_endpoint)
      and coalesce(q.closed_until < v_now + p_closed, true);
  end if;
end
$$;
