-- outbox.event_bounds() -> (low, high): from when to when each partition of `events` reaches

create or replace function outbox.event_bounds() returns table (low timestamptz, high timestamptz)
language plpgsql stable
as $$
begin
  return query
  select case when b.bound[1] = 'MINVALUE' then '-infinity'::timestamptz else outbox.uuid7_time(btrim(b.bound[1], '''')::uuid) end,
    case when b.bound[2] = 'MAXVALUE' then 'infinity'::timestamptz else outbox.uuid7_time(btrim(b.bound[2], '''')::uuid) end
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  cross join lateral (
    select regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \((.*)\) TO \((.*)\)') as bound) b
  where i.inhparent = 'outbox.events'::regclass and not i.inhdetachpending;
end
$$;
