-- outbox.remove_endpoint(caller, id): gone, with its secrets; nothing is delivered to it after the commit
--
-- Its queue stays for the deliveries that wait there: whoever claims one finds no endpoint and ends it.

create or replace function outbox.remove_endpoint(p_caller outbox.caller, p_id uuid) returns void
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.endpoints;
begin
  select * into v_old from outbox.endpoints e where e.id = p_id for update;
  if v_old.id is null or not outbox.sees(v_caller, v_old.team_id, v_old.project_id) then
    perform outbox.refuse(404, 'Endpoint not found');
  end if;
  delete from outbox.endpoints e where e.id = p_id;
  perform outbox.audit(v_caller, 'endpoint.deleted', 'endpoint', p_id::text, v_old.team_id, v_old.project_id);
end
$$;
