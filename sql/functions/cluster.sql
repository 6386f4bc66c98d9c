-- outbox.cluster() -> the history this database writes: system identifier, WAL timeline, database and table
--
-- Changes when a replica is promoted, and when a dump is restored: elsewhere, or beside or over what it was taken
-- from, since that makes a database or at least the table of streams anew. The timeline is read from the WAL file
-- name: right at once, while pg_control_checkpoint() lags behind a promotion.

create or replace function outbox.cluster() returns text
language sql stable
as $$
  select c.system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
    || '/' || d.oid || '.' || 'outbox.streams'::regclass::oid
  from pg_control_system() c, pg_database d
  where d.datname = current_database()
$$;
