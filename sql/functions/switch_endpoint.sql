-- outbox.switch_endpoint(caller, id, on): an operator enables it, also from a pause, or disables it
--
-- Enabled: its failures are forgotten, and what waits is tried, one at a time until one succeeds. Foreign or unknown:
-- OX404.

create or replace function outbox.switch_endpoint(p_caller outbox.caller, p_id uuid, p_on boolean) returns void
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.endpoints := outbox.lock_endpoint(v_caller, p_id);
  v_changed boolean;
begin
  if not p_on then
    v_changed := outbox.disable_endpoint(p_id, 'operator');
  else
    v_changed := outbox.enable_endpoint(p_id) or outbox.revive_endpoint(v_old);
  end if;
  perform outbox.audit(v_caller, case when p_on then 'endpoint.enabled' else 'endpoint.disabled' end, 'endpoint',
    p_id::text, v_old.team_id, v_old.project_id,
    jsonb_build_object('before', v_old.state, 'outcome', case when not v_changed then 'noop' end));
end
$$;
