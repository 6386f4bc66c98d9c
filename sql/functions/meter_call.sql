-- outbox.meter_call(call, job, provider, model, class, tokens_in, tokens_out, estimated, cost_micros, ms, observations)
--
-- One row a call of a provider, whatever came of it; said again, it counts once. `lost` is what a call is until
-- somebody says more, and then no more. Whose it is, the job says. Crossing 80 or 100 per cent of a budget is told
-- as an event of the project, when it is said what became of the call.

drop function if exists outbox.meter_call;
create function outbox.meter_call(p_call uuid, p_job uuid, p_provider text, p_model text, p_class text,
  p_tokens_in bigint, p_tokens_out bigint, p_estimated boolean, p_cost_micros bigint, p_ms int, p_observations int)
returns void
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_project uuid;
  v_was outbox.usage_calls;
begin
  select * into v_was from outbox.usage_calls u where u.id = p_call and u.class = 'lost' for update;
  insert into outbox.usage_calls as u (id, at, team_id, project_id, job_id, provider, model, class, tokens_in, tokens_out,
    estimated, cost_micros, ms, observations)
  select p_call, outbox.clock(), j.team_id, j.project_id, p_job, p_provider, p_model, p_class, p_tokens_in,
    p_tokens_out, p_estimated, p_cost_micros, p_ms, p_observations
  from outbox.jobs j where j.id = p_job
  on conflict (id) do update set class = excluded.class, tokens_in = excluded.tokens_in,
    tokens_out = excluded.tokens_out, estimated = excluded.estimated, cost_micros = excluded.cost_micros,
    ms = excluded.ms, observations = excluded.observations
  where u.class = 'lost'
  returning u.project_id into v_project;
  if v_project is null or p_class = 'lost' then
    return;
  end if;
  -- The hour of its beginning may be summed up by now; while the lock is held, it is not done in between.
  if v_was.at < date_trunc('hour', outbox.clock(), 'UTC') then
    perform from outbox.usage_closed c for share;
    update outbox.usage_hours h set
      tokens = h.tokens + p_tokens_in + p_tokens_out - v_was.tokens_in - v_was.tokens_out,
      cost_micros = h.cost_micros + coalesce(p_cost_micros, 0) - coalesce(v_was.cost_micros, 0)
    where h.scope_id in (v_was.project_id, v_was.team_id) and h.hour = date_trunc('hour', v_was.at, 'UTC');
  end if;
  perform outbox.tell_budget(v_project, to_jsonb(b), m.percent)
  from outbox.budgets_of(v_project) b
  join (values (80), (100)) m (percent) on b.cap > 0 and b.spent * 100 >= b.cap * m.percent;
end
$$;
