-- outbox.import_keys(caller, rows) -> how many were not there, by id and by hash: keys of elsewhere that go on working
--
-- A key without a team is left out: here it would be an operator's. So is one of a team or project that is not here.
-- Operators only (OX403); audited one by one.

drop function if exists outbox.import_keys;
create function outbox.import_keys(p_caller outbox.caller, p_rows jsonb) returns int
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_key outbox.keys;
  v_taken int := 0;
begin
  perform outbox.need_operator(v_caller);
  for v_key in
    insert into outbox.keys (id, hash, prefix, name, team_id, project_id, scopes, actor, created_at, expires_at, revoked_at)
    select n.id, n.hash, 'imported', 'imported', n.team_id, n.project_id, n.scopes, n.actor, n.created_at, n.expires_at,
      n.revoked_at
    from jsonb_populate_recordset(null::outbox.keys, p_rows) n
    where exists (select from outbox.teams t where t.id = n.team_id)
      and (n.project_id is null or exists (select from outbox.projects p where p.id = n.project_id and p.team_id = n.team_id))
    on conflict do nothing
    returning *
  loop
    v_taken := v_taken + 1;
    perform outbox.audit(v_caller, 'api_key.create', 'api_key', v_key.id::text, v_key.team_id, v_key.project_id,
      jsonb_build_object('source', 'import', 'scopes', v_key.scopes, 'expiresAt', v_key.expires_at));
  end loop;
  return v_taken;
end
$$;
