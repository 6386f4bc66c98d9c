-- outbox.is_operational(event) -> is it one of ours about deliveries? What becomes of such a one is told by no other

create or replace function outbox.is_operational(p_event uuid) returns boolean
language plpgsql stable
as $$
begin
  return exists (select from outbox.events e where e.id = p_event and e.adapter = 'outboxd' and e.type = any (array[
    'endpoint.disabled', 'endpoint.enabled', 'endpoint.failing', 'endpoint.recovered', 'delivery.exhausted',
    'delivery.blocked', 'lane.blocked']));
end
$$;
