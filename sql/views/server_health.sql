-- What about the server hurts us?

create or replace view outbox.server_health as
select c.check_name, c.value, c.wanted, c.ok, c.why
from (
  select 'version' as check_name, current_setting('server_version') as value, '14 or newer' as wanted,
    current_setting('server_version_num')::int >= 140000 as ok, 'older servers are not supported' as why
  union all
  select 'connections', n.used || ' of ' || n.allowed, 'under 80 %', n.used < 0.8 * n.allowed,
    'full: nobody gets in, and neither do you'
  from (select (select count(*) from pg_stat_activity a where a.backend_type = 'client backend') as used,
    current_setting('max_connections')::int as allowed) n
  union all
  select 'notification_queue', round(pg_notification_queue_usage()::numeric, 3)::text, 'under 0.5',
    pg_notification_queue_usage() < 0.5, 'a listener sits in an open transaction: full, every publish fails'
  union all
  select 'fsync', current_setting('fsync'), 'on', current_setting('fsync') = 'on', 'off: a crash loses the database'
  union all
  select 'full_page_writes', current_setting('full_page_writes'), 'on', current_setting('full_page_writes') = 'on',
    'off: a crash may tear pages'
  union all
  select 'synchronous_commit', current_setting('synchronous_commit'), 'not off',
    current_setting('synchronous_commit') <> 'off', 'off: a crash loses what was acknowledged last'
  union all
  select 'autovacuum', current_setting('autovacuum'), 'on', current_setting('autovacuum') = 'on',
    'off: claims wade through dead rows'
  union all
  select 'max_locks_per_transaction', current_setting('max_locks_per_transaction'), '128 or more',
    current_setting('max_locks_per_transaction')::int >= 128, 'a statement over many partitions takes a lock on each'
  union all
  select 'idle_in_transaction_timeout', current_setting('idle_in_transaction_session_timeout'), 'not 0',
    current_setting('idle_in_transaction_session_timeout') not in ('0', '0ms'),
    'a forgotten transaction holds vacuum back without end'
  union all
  select 'archiver', 'last failure ' || coalesce(r.last_failed_time::text, 'never'), 'no failure since the last success',
    coalesce(r.last_failed_time <= r.last_archived_time, r.last_failed_time is null), 'WAL piles up until the disk is full'
  from pg_stat_archiver r where current_setting('archive_mode') <> 'off'
  union all
  select 'synchronous_standby', coalesce(nullif(current_setting('synchronous_standby_names'), ''), 'none'),
    'named, to survive a failover', current_setting('synchronous_standby_names') <> '', 'without one, a failover may lose what was acknowledged last'
  from (select from pg_stat_replication limit 1) s
  union all
  select 'standby_lag', w.application_name || ' ' || coalesce(w.replay_lag::text, '0'), 'under 1 min',
    coalesce(w.replay_lag < interval '1 min', true), 'reads there are stale, and a failover loses more'
  from pg_stat_replication w
) c;
