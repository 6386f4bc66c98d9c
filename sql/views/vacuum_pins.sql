-- What holds vacuum back? The oldest snapshots, with what to do about each
--
-- xmin_age: transactions since; dead_behind: dead rows in the engine's tables now. Needs pg_monitor for foreign
-- sessions: without it they show without state and start.

create or replace view outbox.vacuum_pins as
select p.kind, p.pid, p.name, p.role, p.application, p.state, age(p.xmin) as xmin_age, p.since, (
    select sum(s.n_dead_tup)::bigint from pg_stat_user_tables s where s.schemaname = 'outbox') as dead_behind, p.cure
from (
  select 'session' as kind, a.pid, null as name, a.usename::text as role, a.application_name as application, a.state,
    a.backend_xmin as xmin, a.xact_start as since, format('select pg_terminate_backend(%s)', a.pid) as cure
  from pg_stat_activity a
  where a.backend_xmin is not null and a.pid <> pg_backend_pid() and a.backend_type <> 'walsender'
  union all
  select 'prepared', null, x.gid, x.owner::text, null, null, x.transaction, x.prepared,
    format('commit prepared %L, or rollback prepared %L', x.gid, x.gid)
  from pg_prepared_xacts x where x.database = current_database()
  union all
  select 'slot', r.active_pid, r.slot_name::text, null, r.plugin::text, case when r.active then 'active' else 'inactive' end,
    case when age(r.xmin) > age(r.catalog_xmin) or r.catalog_xmin is null then r.xmin else r.catalog_xmin end, null,
    format('let its consumer catch up, or select pg_drop_replication_slot(%L)', r.slot_name)
  from pg_replication_slots r where r.xmin is not null or r.catalog_xmin is not null
  union all
  select 'standby', w.pid, null, w.usename::text, w.application_name, w.state, w.backend_xmin, w.backend_start,
    'a query on the standby (hot_standby_feedback): end it there'
  from pg_stat_replication w where w.backend_xmin is not null
) p;
