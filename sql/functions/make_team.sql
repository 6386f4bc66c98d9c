-- outbox.make_team(caller, name, metadata) -> its id; only who sees every team, else OX403; name taken: OX409

create or replace function outbox.make_team(p_caller outbox.caller, p_name text, p_metadata jsonb default '{}')
returns uuid
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_id uuid := outbox.uuid7(v_now);
begin
  p_caller := outbox.admit(p_caller);
  if p_caller.everywhere is not true then
    perform outbox.refuse(403, 'only an operator makes teams');
  end if;
  if p_name is null or p_name !~ '\S' or char_length(p_name) > 120 then
    perform outbox.refuse(400, 'name: 1 to 120 characters');
  end if;
  insert into outbox.teams (id, name, metadata, created_at, updated_at)
  values (v_id, p_name, outbox.merged_metadata('{}', jsonb_build_object('metadata', p_metadata)), v_now, v_now)
  on conflict (lower(name)) do nothing;
  if not found then
    perform outbox.refuse(409, 'a team has this name');
  end if;
  perform outbox.audit(p_caller, 'team.created', 'team', v_id::text, v_id, null, jsonb_build_object('new', jsonb_build_object('name', p_name)));
  return v_id;
end
$$;
