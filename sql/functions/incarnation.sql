-- after: cluster
-- outbox.incarnation() -> this run of this server: after a restart or failover every session lock is gone

create or replace function outbox.incarnation() returns text
language sql stable
as $$ select outbox.cluster() || '/' || extract(epoch from pg_postmaster_start_time()) $$;
