-- outbox.mint_key(caller, hash, prefix, team, project, scopes, name, expires_at, previous) -> the new key's row
--
-- The secret itself never comes here. Within the caller's tenancy (OX404); a key without a team is an
-- operator's, and only who sees every team mints one (OX403). Minted by a key: no wider than that (OX403), and it
-- ends with it. Unknown scope: OX400. More than 1,000 live keys in a team: OX409.

drop function if exists outbox.mint_key;
create function outbox.mint_key(
  p_caller outbox.caller, p_hash bytea, p_prefix text, p_team uuid, p_project uuid, p_scopes text[],
  p_name text default null, p_expires_at timestamptz default null, p_previous uuid default null
) returns outbox.keys
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_key outbox.keys;
begin
  perform outbox.check_new_key(v_caller, p_team, p_project, p_scopes, p_name, p_expires_at, v_now);
  -- One that mints for the team at a time, so that the count holds.
  perform from outbox.teams t where t.id = p_team for no key update;
  if p_team is not null and (select count(*) from outbox.keys k where k.team_id = p_team and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > v_now)) >= 1000 then
    perform outbox.refuse(409, 'this team has 1,000 live keys', 'LimitReached');
  end if;
  v_key.id := outbox.uuid7(v_now);
  insert into outbox.keys (id, hash, prefix, name, team_id, project_id, scopes, actor, created_by, created_at, expires_at)
  values (v_key.id, p_hash, p_prefix, p_name, p_team, p_project, p_scopes, 'key:' || v_key.id, v_caller.key_id,
    v_now, least(p_expires_at, (select k.expires_at from outbox.keys k where k.id = v_caller.key_id)))
  returning * into v_key;
  perform outbox.audit(v_caller, 'api_key.create', 'api_key', v_key.id::text, p_team, p_project,
    jsonb_build_object('source', case when v_caller.key_id is null then split_part(v_caller.actor, ':', 1) else 'api' end,
      'scopes', p_scopes, 'expiresAt', v_key.expires_at, 'previousId', p_previous));
  return v_key;
end
$$;
