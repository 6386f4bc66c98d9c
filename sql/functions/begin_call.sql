-- outbox.begin_call(call, job, providers, models, estimate) -> (provider, model, troubled, held, wait)
--
-- Before a provider is called: budget, then the first of the providers that is not held. The call is put on record now,
-- as `lost`, with its estimated tokens; `meter_call` says what became of it, so that a worker that dies in a call leaves
-- one that was counted. provider null: nobody may be called, for `held` (budget, provider), for about `wait`.

drop function if exists outbox.begin_call;
create function outbox.begin_call(p_call uuid, p_job uuid, p_providers text[], p_models text[], p_estimate bigint)
returns table (provider text, model text, troubled boolean, held text, wait interval)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now timestamptz := outbox.clock();
  v_project uuid := (select j.project_id from outbox.jobs j where j.id = p_job);
  v_gate record;
  v_wait interval;
begin
  select b.closed, b.until into v_gate from outbox.budget_gate(v_project, p_estimate) b;
  if v_gate.closed is not null then
    return query select null::text, null::text, false, 'budget'::text, greatest(v_gate.until - v_now, interval '1 s');
    return;
  end if;
  for v_n in 1 .. cardinality(p_providers) loop
    select * into v_gate from outbox.provider_gate(p_providers[v_n]);
    if v_gate.until is null then
      perform outbox.meter_call(p_call, p_job, p_providers[v_n], p_models[v_n], 'lost', p_estimate, 0, true, null, 0, 0);
      return query select p_providers[v_n], p_models[v_n], v_gate.troubled, null::text, null::interval;
      return;
    end if;
    v_wait := least(v_wait, v_gate.until - v_now);
  end loop;
  return query select null::text, null::text, true, 'provider'::text, greatest(v_wait, interval '1 s');
end
$$;
