-- outbox.is_daemon() -> does this session belong to the login that owns the schema?

create or replace function outbox.is_daemon() returns boolean
language sql stable
as $$
  select pg_has_role(session_user, n.nspowner, 'member') from pg_namespace n where n.nspname = 'outbox'
$$;
