-- outbox.check_handler(name): OX400 for a name that cannot be declared

create or replace function outbox.check_handler(p_name text) returns void
language plpgsql stable
as $$
declare
  v_part text[] := regexp_match(p_name, '^sql:([^.]+)\.([^.]+)\Z');
begin
  if p_name like 'sql:%' then
    if v_part is null or v_part[1] in ('outbox', 'information_schema') or v_part[1] like 'pg\_%' then
      perform outbox.refuse(400, 'handler: sql:schema.function, not in outbox, pg_* or information_schema');
    elsif not exists (
      select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = v_part[1] and p.proname = v_part[2] and p.prorettype = 'jsonb'::regtype and not p.proretset
        and p.prokind = 'f' and p.pronargs = 1 and p.proargtypes[0] = 'outbox.claimed'::regtype) then
      perform outbox.refuse(400, format('handler: there is no function %s.%s(outbox.claimed) returns jsonb',
        v_part[1], v_part[2]));
    end if;
  elsif p_name is null or p_name !~ '^[A-Za-z][A-Za-z0-9._-]{0,99}\Z'
     or p_name in ('observe', 'summarize', 'deliver', 'recover') then
    perform outbox.refuse(400, 'handler: sql:schema.function, or the name of a Python handler that is not built in');
  end if;
end
$$;
