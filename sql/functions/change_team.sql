-- outbox.change_team(caller, team, changes, revision) -> its row as it is now
--
-- A merge patch of name, metadata and budgets, the last by operators alone (OX403); another budget asks again for
-- what a budget holds. Who sees the whole team; else OX404. Unknown or wrong: OX400; name taken: OX409; another
-- revision than that: OX412. Audited with old and new values.

drop function if exists outbox.change_team;
create function outbox.change_team(
  p_caller outbox.caller, p_team uuid, p_changes jsonb, p_revision int default null
) returns outbox.teams
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_old outbox.teams;
  v_new outbox.teams;
  v_budgets jsonb;
begin
  perform outbox.check_changes(p_changes, '{name,metadata,budgets}');
  select * into v_old from outbox.teams t where t.id = p_team for update;
  if v_old.id is null or v_caller.project_ids is not null or outbox.sees(v_caller, p_team, null) is not true then
    perform outbox.refuse(404, 'Team not found');
  elsif v_old.revision <> p_revision then
    perform outbox.refuse(412, 'the team was changed meanwhile');
  elsif p_changes ? 'budgets' then
    perform outbox.need_operator(v_caller);
  end if;
  if exists (select from outbox.teams t where lower(t.name) = lower(p_changes ->> 'name') and t.id <> p_team) then
    perform outbox.refuse(409, 'a team has this name');
  end if;
  v_budgets := case when p_changes -> 'budgets' = 'null' then '{}'
    else outbox.merge_patch(v_old.budgets, coalesce(p_changes -> 'budgets', '{}')) end;
  perform outbox.check_budgets(v_budgets);
  update outbox.teams t set name = coalesce(p_changes ->> 'name', t.name), budgets = v_budgets,
    metadata = outbox.merged_metadata(t.metadata, p_changes), updated_at = outbox.clock(), revision = t.revision + 1
  where t.id = p_team returning * into v_new;
  perform outbox.audit_change(v_caller, 'team', p_team, p_team, null, to_jsonb(v_old), to_jsonb(v_new));
  if v_budgets <> v_old.budgets then
    perform outbox.release_budget(v_caller, p_team, null);
  end if;
  return v_new;
end
$$;
