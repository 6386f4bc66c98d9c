-- outbox.why_pinned(older) -> (weight, reason, detail, until): a snapshot older than that slows claims
--
-- Foreign sessions show only where the schema's owner may see them (pg_monitor).

drop function if exists outbox.why_pinned;
create function outbox.why_pinned(p_older interval default '1 min')
returns table (weight numeric, reason text, detail text, until timestamptz)
language plpgsql stable
as $$
begin
  return query
  select 14.0, 'pinned', format('%s holds a snapshot since %s: dead rows stay, claims slow down', s.who, s.since),
    null::timestamptz
  from (
    select 'pid ' || a.pid || ' (' || coalesce(nullif(a.application_name, ''), a.backend_type) || ')' as who,
      a.xact_start as since
    from pg_stat_activity a
    where a.backend_xmin is not null and a.pid <> pg_backend_pid() and a.datid is not null
    union all
    select 'prepared transaction ' || x.gid, x.prepared from pg_prepared_xacts x) s
  where s.since < clock_timestamp() - p_older
  order by s.since limit 1;
end
$$;
