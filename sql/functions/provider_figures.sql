-- outbox.provider_figures() -> the rows of the view provider_health
--
-- A function, since it has to say how it is run: compiling it takes longer than running it, and the index by time alone
-- misleads.

drop function if exists outbox.provider_figures cascade;
create function outbox.provider_figures()
returns table (provider text, held_until timestamptz, class text, since timestamptz, last_ok_at timestamptz,
  calls_1h bigint, failed_1h bigint, tokens_today bigint, cost_micros_today bigint, holds int, failures int,
  calls_today bigint, capped boolean)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
begin
  return query
  with recursive moment as materialized (
    select outbox.clock() as now
  ), called(provider) as (
    (select u.provider from outbox.usage_calls u order by u.provider limit 1)
    union all
    select n.provider
    from called c
    cross join lateral (select u.provider from outbox.usage_calls u where u.provider > c.provider
      order by u.provider limit 1) n
  ), known as (
    select c.provider from called c
    union
    select h.provider from outbox.provider_holds h
    union
    select n.provider from outbox.settings s
    cross join lateral unnest(string_to_array(s.value, ',')) n(provider)
    where s.name = 'providers' and n.provider <> ''
    limit 100
  )
  select k.provider, case when h.until > m.now then h.until end as held_until, h.class, h.since,
    (select max(u.at) from (select u.at, u.class from outbox.usage_calls u where u.provider = k.provider
      order by u.at desc limit 200) u where u.class = 'ok') as last_ok_at,
    d.calls_1h, d.failed_1h, d.tokens_today, d.cost_micros_today, coalesce(h.holds, 0) as holds,
    coalesce(h.failures, 0) as failures, d.calls_today, d.seen = 50000 as capped
  from known k
  cross join moment m
  left join outbox.provider_holds h on h.provider = k.provider
  cross join lateral (
    select count(*) filter (where u.at >= m.now - interval '1 h') as calls_1h,
      count(*) filter (where u.at >= m.now - interval '1 h' and u.class not in ('ok', 'cancelled')
        -- On record as lost until somebody says more: it may be under way.
        and not (u.class = 'lost' and u.at > m.now - interval '5 min')) as failed_1h,
      count(*) filter (where u.at >= date_trunc('day', m.now, 'UTC')) as calls_today,
      coalesce(sum(u.tokens_in + u.tokens_out) filter (where u.at >= date_trunc('day', m.now, 'UTC')), 0)::bigint as tokens_today,
      coalesce(sum(u.cost_micros) filter (where u.at >= date_trunc('day', m.now, 'UTC')), 0)::bigint as cost_micros_today,
      count(*) as seen
    from (select u.at, u.class, u.tokens_in, u.tokens_out, u.cost_micros from outbox.usage_calls u
      where u.provider = k.provider
        and u.at >= least(date_trunc('day', m.now, 'UTC'), m.now - interval '1 h')
      order by u.at desc limit 50000) u) d;
end
$$;
