-- outbox.meter_call(call, job, provider, model, class, tokens_in, tokens_out, estimated, cost_micros, ms, observations)
--
-- One row a call of a provider, whatever came of it; said again, it counts once. `lost` is what a call is until
-- somebody says more, and then no more. Whose it is, the job says.

drop function if exists outbox.meter_call;
create function outbox.meter_call(p_call uuid, p_job uuid, p_provider text, p_model text, p_class text,
  p_tokens_in bigint, p_tokens_out bigint, p_estimated boolean, p_cost_micros bigint, p_ms int, p_observations int)
returns void
language plpgsql
as $$
begin
  insert into outbox.usage_calls as u (id, at, team_id, project_id, job_id, provider, model, class, tokens_in, tokens_out,
    estimated, cost_micros, ms, observations)
  select p_call, outbox.clock(), j.team_id, j.project_id, p_job, p_provider, p_model, p_class, p_tokens_in,
    p_tokens_out, p_estimated, p_cost_micros, p_ms, p_observations
  from outbox.jobs j where j.id = p_job
  on conflict (id) do update set class = excluded.class, tokens_in = excluded.tokens_in,
    tokens_out = excluded.tokens_out, estimated = excluded.estimated, cost_micros = excluded.cost_micros,
    ms = excluded.ms, observations = excluded.observations
  where u.class = 'lost';
end
$$;
