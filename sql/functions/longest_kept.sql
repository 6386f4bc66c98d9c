-- outbox.longest_kept() -> how long the most patient project keeps its events; null: for ever
--
-- Of `retention.eventDays` where a project says so, else of the server's setting. Partitions of events go at that age;
-- what a project keeps less long is blanked before.

create or replace function outbox.longest_kept() returns interval
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_default int := outbox.setting('event_days', '90')::int;
  v_days int;
begin
  select case when bool_or(d.days = 0) then null else max(d.days) end into v_days
  from (select v_default as days
    union all select (p.settings #>> '{retention,eventDays}')::int from outbox.projects p
      where p.settings #> '{retention,eventDays}' is not null) d;
  return make_interval(days => v_days);
end
$$;
