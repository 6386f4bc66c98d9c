-- Whose open transaction has published, and keeps its events out of the feed? Oldest first; those open for a second
--
-- Foreign sessions show without age and state to whoever is not in pg_monitor.

create or replace view outbox.pending_stalled as
select k.pid, clock_timestamp() - a.xact_start as xact_age, a.usename as role, a.state
from pg_locks k
left join pg_stat_activity a on a.pid = k.pid
where k.locktype = 'relation' and k.relation = 'outbox.pending'::regclass and k.mode = 'RowExclusiveLock' and k.granted
  and k.database = (select d.oid from pg_database d where d.datname = current_database())
  and k.pid is distinct from pg_backend_pid()
  and coalesce(a.xact_start < clock_timestamp() - interval '1 s', true)
order by a.xact_start;
