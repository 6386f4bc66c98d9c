-- outbox.me() -> who this database login is, as a caller
--
-- Operators and readers see everything; a producer sees the projects its roles are bound to
-- (`producers`), or all of them when it is bound to none.

create or replace function outbox.me() returns outbox.caller
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_projects uuid[];
begin
  if not (outbox.is_daemon() or pg_has_role(session_user, 'outbox_operator', 'member')
          or pg_has_role(session_user, 'outbox_reader', 'member')) then
    select array_agg(distinct p.project_id) into v_projects
    from outbox.producers p
    where exists (select from pg_roles r where r.rolname = p.role_name
                  and pg_has_role(session_user, r.oid, 'member'));
  end if;
  return row(null, v_projects, v_projects is null, null, 'sql:' || session_user, null)::outbox.caller;
end
$$;
