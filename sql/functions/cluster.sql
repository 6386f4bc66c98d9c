-- outbox.cluster() -> the history this server writes: system identifier and WAL timeline
--
-- Changes when a replica is promoted or a backup restored elsewhere. The timeline is read from the WAL file
-- name: right at once, while pg_control_checkpoint() lags behind a promotion.

create or replace function outbox.cluster() returns text
language sql stable
as $$
  select c.system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
  from pg_control_system() c
$$;
