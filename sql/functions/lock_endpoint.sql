-- outbox.lock_endpoint(caller, id, hold) -> the endpoint, which nobody else changes now; foreign or unknown: OX404
--
-- Not to hold it: as it is at the moment.

drop function if exists outbox.lock_endpoint;
create function outbox.lock_endpoint(p_caller outbox.caller, p_id uuid, p_hold boolean default true)
returns outbox.endpoints
language plpgsql
as $$
declare
  v_endpoint outbox.endpoints;
begin
  if p_hold then
    select * into v_endpoint from outbox.endpoints e where e.id = p_id for update;
  else
    select * into v_endpoint from outbox.endpoints e where e.id = p_id;
  end if;
  if v_endpoint.id is null or not outbox.sees(p_caller, v_endpoint.team_id, v_endpoint.project_id) then
    perform outbox.refuse(404, 'Endpoint not found');
  end if;
  return v_endpoint;
end
$$;
