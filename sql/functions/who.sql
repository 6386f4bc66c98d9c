-- outbox.who(role) -> what a database login is, as a caller
--
-- Operators and readers see everything; a producer sees the projects its roles are bound to
-- (`producers`), or all of them when it is bound to none. 42704 for a role that is gone.

create or replace function outbox.who(p_role text) returns outbox.caller
language plpgsql stable
as $$
declare
  v_projects uuid[];
begin
  if not (pg_has_role(p_role, (select n.nspowner from pg_namespace n where n.nspname = 'outbox'), 'member')
          or pg_has_role(p_role, 'outbox_operator', 'member') or pg_has_role(p_role, 'outbox_reader', 'member')) then
    select array_agg(distinct p.project_id) into v_projects
    from outbox.producers p
    where exists (select from pg_roles r where r.rolname = p.role_name and pg_has_role(p_role, r.oid, 'member'));
  end if;
  return row(null, v_projects, v_projects is null, null, 'sql:' || p_role, null)::outbox.caller;
end
$$;
