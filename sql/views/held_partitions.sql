-- Which partitions of jobs, attempts and events are past their time and cannot go, and what lives in them?
--
-- held_by: one job that is not over, of events one that needs an event in it; null: nothing, it goes at the next run
-- of partitions_drop.

create or replace view outbox.held_partitions as
select c.parent as table_name, c.name as partition_name, b.from_at, b.to_at, c.bytes,
  case c.parent when 'events' then (
    select j.id from outbox.jobs j
    where j.event_id >= b.low and j.event_id < b.high and (
      exists (select from outbox.ready r where r.job_id = j.id)
      or exists (select from outbox.later l where l.job_id = j.id)
      or exists (select from outbox.dead_letters d where d.job_id = j.id)
      or exists (select from outbox.leases l where j.id = any (l.job_ids)))
    limit 1)
  else (
    select x.job_id from (
      (select r.job_id from outbox.ready r where r.job_id >= b.low and r.job_id < b.high limit 1)
      union all (select l.job_id from outbox.later l where l.job_id >= b.low and l.job_id < b.high limit 1)
      union all (select d.job_id from outbox.dead_letters d where d.job_id >= b.low and d.job_id < b.high limit 1)
      union all (select m.id from outbox.leases l cross join lateral unnest(l.job_ids) m(id)
        where m.id >= b.low and m.id < b.high limit 1)) x
    limit 1) end as held_by
from (
  select p.relname::text as parent, c.relname::text as name, pg_total_relation_size(c.oid) as bytes,
    regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([0-9a-f-]+)''\) TO \(''([0-9a-f-]+)''\)') as bounds
  from pg_inherits i
  join pg_class p on p.oid = i.inhparent
  join pg_class c on c.oid = i.inhrelid
  where i.inhparent in ('outbox.jobs'::regclass, 'outbox.attempts'::regclass, 'outbox.events'::regclass)) c
cross join lateral (select c.bounds[1]::uuid as low, c.bounds[2]::uuid as high,
  outbox.uuid7_time(c.bounds[1]::uuid) as from_at, outbox.uuid7_time(c.bounds[2]::uuid) as to_at) b
where b.to_at < (select outbox.clock()) - case c.parent when 'events' then outbox.longest_kept()
  else make_interval(days => coalesce((select s.value::int from outbox.settings s where s.name = 'job_days'), 30)) end;
