-- outbox.rotate_endpoint_key(caller, endpoint, kind, sealed, public, overlap) -> until when the old ones sign too
--
-- Old are those of that kind; what was to expire sooner does. Keys of the other kind are left alone. Foreign or
-- unknown: OX404; more than 10 in force: OX409.

drop function if exists outbox.rotate_endpoint_key;
create function outbox.rotate_endpoint_key(
  p_caller outbox.caller, p_endpoint uuid, p_kind text, p_sealed bytea, p_public text, p_overlap interval
) returns timestamptz
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_until timestamptz := outbox.clock() + p_overlap;
  v_endpoint outbox.endpoints;
begin
  select * into v_endpoint from outbox.endpoints e where e.id = p_endpoint for update;
  if v_endpoint.id is null or not outbox.sees(v_caller, v_endpoint.team_id, v_endpoint.project_id) then
    perform outbox.refuse(404, 'Endpoint not found');
  end if;
  update outbox.endpoint_secrets s set expires_at = v_until
  where s.endpoint_id = p_endpoint and s.kind = p_kind and coalesce(s.expires_at > v_until, true);
  perform outbox.add_endpoint_key(p_endpoint, p_kind, p_sealed, p_public);
  perform outbox.audit(v_caller, 'endpoint.secret_rotated', 'endpoint', p_endpoint::text, v_endpoint.team_id,
    v_endpoint.project_id, jsonb_build_object('kind', p_kind, 'overlapSeconds', extract(epoch from p_overlap)::int));
  return v_until;
end
$$;
