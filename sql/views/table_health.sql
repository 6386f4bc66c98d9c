-- Do the tables bloat? Partitions are added up under their table

create or replace view outbox.table_health as
select t.table_name, sum(t.live)::bigint as live, sum(t.dead)::bigint as dead,
  round((sum(t.dead) / nullif(sum(t.live) + sum(t.dead), 0))::numeric, 3) as dead_ratio, sum(t.bytes)::bigint as bytes,
  max(t.last_vacuum) as last_vacuum, max(t.last_autovacuum) as last_autovacuum
from (
  select coalesce(p.relname, s.relname)::text as table_name, s.n_live_tup as live, s.n_dead_tup as dead,
    pg_total_relation_size(s.relid) as bytes, s.last_vacuum, s.last_autovacuum
  from pg_stat_user_tables s
  left join pg_inherits i on i.inhrelid = s.relid
  left join pg_class p on p.oid = i.inhparent
  where s.schemaname = 'outbox') t
group by t.table_name;
