-- outbox.import_team(caller, team, by_name) -> its id here: the team with that id, else, if told, the one of that name
--
-- Else a new one; where its name is taken by another, with the beginning of its id behind. Operators only (OX403).

drop function if exists outbox.import_team;
create function outbox.import_team(p_caller outbox.caller, p_team jsonb, p_by_name boolean) returns uuid
language plpgsql
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_id uuid := (p_team ->> 'id')::uuid;
  v_name text := left(p_team ->> 'name', 120);
  v_same uuid;
begin
  perform outbox.need_operator(v_caller);
  if exists (select from outbox.teams t where t.id = v_id) then
    return v_id;
  end if;
  select t.id into v_same from outbox.teams t where lower(t.name) = lower(v_name);
  if v_same is not null then
    if p_by_name then
      return v_same;
    end if;
    v_name := left(v_name, 109) || format(' (%s)', left(v_id::text, 8));
  end if;
  insert into outbox.teams (id, name, metadata, created_at, updated_at)
  values (v_id, v_name, coalesce(nullif(p_team -> 'metadata', 'null'), '{}'),
    coalesce((p_team ->> 'created_at')::timestamptz, v_now), v_now);
  perform outbox.audit(v_caller, 'team.created', 'team', v_id::text, v_id, null,
    jsonb_build_object('new', jsonb_build_object('name', v_name), 'imported', true));
  return v_id;
end
$$;
