-- outbox.mint_key(caller, hash, prefix, team, project, scopes, name, expires_at) -> the new key's row
--
-- The secret itself never comes here. Within the caller's tenancy (OX404); a key without a team is an
-- operator's, and only who sees every team mints one (OX403). Unknown scope: OX400. More than 1,000 live keys
-- in a team: OX409.

create or replace function outbox.mint_key(
  p_caller outbox.caller, p_hash bytea, p_prefix text, p_team uuid, p_project uuid, p_scopes text[],
  p_name text default null, p_expires_at timestamptz default null
) returns outbox.keys
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_key outbox.keys;
  v_unknown text;
begin
  p_caller := outbox.admit(p_caller);
  if p_team is null and p_caller.everywhere is not true then
    perform outbox.refuse(403, 'only an operator mints a key without a team');
  end if;
  if p_team is not null and not outbox.sees(p_caller, p_team, p_project) then
    perform outbox.refuse(404, 'Team not found');
  end if;
  if p_project is not null and not exists (select from outbox.projects p where p.id = p_project and p.team_id = p_team) then
    perform outbox.refuse(404, 'Project not found');
  end if;
  select s into v_unknown from unnest(p_scopes) s where outbox.effective_scopes(array[s]) = '{}' limit 1;
  if v_unknown is not null or coalesce(cardinality(p_scopes), 0) = 0 then
    perform outbox.refuse(400, coalesce('no such scope: ' || left(v_unknown, 100), 'at least one scope'));
  end if;
  if char_length(p_name) > 120 then
    perform outbox.refuse(400, 'name: at most 120 characters');
  end if;
  if p_expires_at <= v_now then
    perform outbox.refuse(400, 'expires_at: later than now');
  end if;
  if p_team is not null and (select count(*) from outbox.keys k where k.team_id = p_team and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > v_now)) >= 1000 then
    perform outbox.refuse(409, 'this team has 1,000 live keys', 'LimitReached');
  end if;
  v_key.id := outbox.uuid7(v_now);
  insert into outbox.keys (id, hash, prefix, name, team_id, project_id, scopes, actor, created_by, created_at, expires_at)
  values (v_key.id, p_hash, p_prefix, p_name, p_team, p_project, p_scopes, 'key:' || v_key.id, p_caller.key_id,
    v_now, p_expires_at)
  returning * into v_key;
  perform outbox.audit(p_caller, 'api_key.create', 'api_key', v_key.id::text, p_team, p_project,
    jsonb_build_object('scopes', p_scopes, 'expiresAt', p_expires_at));
  return v_key;
end
$$;
