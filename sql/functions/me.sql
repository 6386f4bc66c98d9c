-- outbox.me() -> who this database login is, as a caller: `who` of it

create or replace function outbox.me() returns outbox.caller
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return outbox.who(session_user);
end
$$;
