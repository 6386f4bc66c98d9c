-- outbox.budgets_of(project) -> each budget that bounds it, its own and its team's: cap, period, what is spent
--
-- Months and hours are UTC's. A call whose price nobody knows costs nothing here. Hours that `close_usage`
-- has summed up are read from there, calls since then one by one.

create or replace function outbox.budgets_of(p_project uuid)
returns table (scope text, scope_id uuid, budget text, cap bigint, period timestamptz, period_end timestamptz, spent bigint)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_month timestamptz := date_trunc('month', v_now, 'UTC');
  v_month_end timestamptz := ((v_month at time zone 'UTC') + interval '1 month') at time zone 'UTC';
  v_hour timestamptz := date_trunc('hour', v_now, 'UTC');
begin
  return query
  select c.scope, c.scope_id, b.budget, c.cap, b.period, b.period_end,
    (h.spent + case c.scope
      when 'project' then (select coalesce(sum(outbox.spent_on(b.budget, u)), 0) from outbox.usage_calls u
        where u.project_id = c.scope_id and u.at >= greatest(b.period, h.upto))
      else (select coalesce(sum(outbox.spent_on(b.budget, u)), 0) from outbox.usage_calls u
        where u.team_id = c.scope_id and u.at >= greatest(b.period, h.upto)) end)::bigint
  from outbox.projects p
  join outbox.teams t on t.id = p.team_id
  cross join (values ('tokensPerMonth', v_month, v_month_end), ('costMicrosPerMonth', v_month, v_month_end),
    ('callsPerHour', v_hour, v_hour + interval '1 hour')) b (budget, period, period_end)
  cross join lateral (values
    ('project', p.id, outbox.project_setting(p, 'budgets.' || b.budget)), ('team', t.id, t.budgets -> b.budget)) g (scope, scope_id, cap)
  cross join lateral (select g.scope, g.scope_id, (g.cap #>> '{}')::bigint as cap) c
  cross join lateral (
    select k.upto, (select coalesce(sum(case b.budget when 'tokensPerMonth' then o.tokens
        when 'costMicrosPerMonth' then o.cost_micros else o.calls end), 0) from outbox.usage_hours o
      where o.scope_id = c.scope_id and o.hour >= b.period and o.hour < k.upto) as spent
    from (select coalesce((select k.upto from outbox.usage_closed k), '-infinity') as upto) k
    where c.cap is not null) h
  where p.id = p_project and c.cap is not null;
end
$$;
