-- outbox.check_changes(changes, known): OX400 for what a team or a project cannot be changed to

create or replace function outbox.check_changes(p_changes jsonb, p_known text[]) returns void
language plpgsql
as $$
declare
  v_wrong text;
begin
  if p_changes is null or jsonb_typeof(p_changes) <> 'object' or p_changes = '{}' then
    perform outbox.refuse(400, 'p_changes: an object with at least one of ' || array_to_string(p_known, ', '));
  end if;
  v_wrong := (select k from jsonb_object_keys(p_changes) k where not k = any (p_known) order by k limit 1);
  v_wrong := case
    when v_wrong is not null then 'unknown ' || left(v_wrong, 100)
    when p_changes ? 'name' and (jsonb_typeof(p_changes -> 'name') <> 'string' or p_changes ->> 'name' !~ '\S'
      or char_length(p_changes ->> 'name') > 120) then 'name: 1 to 120 characters'
    when jsonb_typeof(p_changes -> 'metadata') not in ('object', 'null') then 'metadata: an object'
    when p_changes ? 'archived' and jsonb_typeof(p_changes -> 'archived') <> 'boolean' then 'archived: true or false'
  end;
  if v_wrong is not null then
    perform outbox.refuse(400, v_wrong);
  end if;
end
$$;
