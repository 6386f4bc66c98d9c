-- outbox.add_handler(caller, name, open) -> was it new? An operator declares a handler that routes may name
--
-- `sql:schema.function` must be there as function(outbox.claimed) returns jsonb, outside outbox, pg_* and
-- information_schema (OX400); any other name is a Python handler of some worker's app. Built-in and pull
-- handlers need no declaring: OX400.

drop function if exists outbox.add_handler;
create function outbox.add_handler(p_caller outbox.caller, p_name text, p_open boolean default true) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_new boolean;
begin
  perform outbox.need_operator(v_caller);
  perform outbox.check_handler(p_name);
  v_new := not exists (select from outbox.handlers h where h.name = p_name);
  insert into outbox.handlers (name, open, declared_by, created_at)
  values (p_name, coalesce(p_open, true), v_caller.actor, outbox.clock())
  on conflict (name) do update set open = excluded.open, declared_by = excluded.declared_by;
  perform outbox.audit(v_caller, 'handler.added', 'handler', p_name, null, null,
    jsonb_build_object('open', coalesce(p_open, true)));
  return v_new;
end
$$;
