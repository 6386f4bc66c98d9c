-- outbox.usage_figures() -> the rows of the view usage_by_day
--
-- A function, as `provider_figures` is one.

drop function if exists outbox.usage_figures cascade;
create function outbox.usage_figures()
returns table (day date, team_id uuid, project_id uuid, provider text, model text, kind text, total bigint, cap bigint,
  used_ratio numeric)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
begin
  return query
  with recursive moment as materialized (
    select date_trunc('month', outbox.clock() at time zone 'UTC') - interval '1 month' as since
  ), called(provider) as (
    (select u.provider from outbox.usage_calls u order by u.provider limit 1)
    union all
    select n.provider
    from called c
    cross join lateral (select u.provider from outbox.usage_calls u where u.provider > c.provider
      order by u.provider limit 1) n
  ), spent as (
    select (u.at at time zone 'UTC')::date as day, u.team_id, u.project_id, u.provider, u.model, count(*) as calls,
      count(*) filter (where u.class <> 'ok') as failed, count(*) filter (where u.cost_micros is null) as unpriced,
      sum(u.tokens_in)::bigint as tokens_in, sum(u.tokens_out)::bigint as tokens_out,
      coalesce(sum(u.cost_micros), 0)::bigint as cost_micros, sum(u.observations)::bigint as observations
    from called c
    cross join moment m
    cross join lateral (select * from outbox.usage_calls u
      where u.provider = c.provider and u.at >= m.since at time zone 'UTC' order by u.at desc limit 50000) u
    group by 1, 2, 3, 4, 5
  ), counted as (
    select s.*, sum(s.tokens_in + s.tokens_out) over month as tokens_month, sum(s.cost_micros) over month as cost_month
    from spent s
    window month as (partition by s.project_id, date_trunc('month', s.day::timestamp) order by s.day)
  ), capped as (
    select p.id as project_id, coalesce(nullif(p.settings #> '{budgets,tokensPerMonth}', 'null') #>> '{}', t.value)::bigint
        as tokens, coalesce(nullif(p.settings #> '{budgets,costMicrosPerMonth}', 'null') #>> '{}', c.value)::bigint as cost
    from outbox.projects p
    left join outbox.settings t on t.name = 'budget_tokens_per_month' and t.value <> ''
    left join outbox.settings c on c.name = 'budget_cost_micros_per_month' and c.value <> ''
  ), asked as (
    select r.day, r.team_id, r.project_id, r.requests, (t.budgets ->> 'requestsPerMonth')::bigint as cap,
      sum(r.requests) over (partition by r.team_id, date_trunc('month', r.day::timestamp) order by r.day) as month
    from outbox.usage_requests r
    cross join moment m
    join outbox.teams t on t.id = r.team_id
    where r.day >= m.since::date
  )
  select s.day, s.team_id, s.project_id, s.provider, s.model, k.kind, k.total, k.cap,
    round(k.month / nullif(k.cap, 0), 4) as used_ratio
  from counted s
  left join capped c on c.project_id = s.project_id
  cross join lateral (values
    ('call', s.calls, null::bigint, null::numeric), ('call_failed', s.failed, null, null),
    ('call_unpriced', s.unpriced, null, null), ('tokens_in', s.tokens_in, null, null),
    ('tokens_out', s.tokens_out, null, null), ('tokens', s.tokens_in + s.tokens_out, c.tokens, s.tokens_month),
    ('cost_micros', s.cost_micros, c.cost, s.cost_month),
    ('observation', s.observations, null, null)) k (kind, total, cap, month)
  where k.total > 0
  union all
  select a.day, a.team_id, a.project_id, null, null, 'request', a.requests, a.cap, round(a.month / nullif(a.cap, 0), 4)
  from asked a
  where a.requests > 0;
end
$$;
