-- outbox.close_usage(): sums up the calls of this month's hours that are over, for the budgets
--
-- An hour is closed a while after its end, so that calls put on record in it are committed. Whoever changes a call of
-- an hour that may be closed locks the row of `usage_closed` first and changes the sum too (`meter_call`).

create or replace function outbox.close_usage() returns void
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_until timestamptz := date_trunc('hour', outbox.clock() - interval '10 minutes', 'UTC');
  v_since timestamptz;
begin
  select greatest(c.upto, date_trunc('month', v_until, 'UTC')) into v_since
  from outbox.usage_closed c where c.upto < v_until for update;
  if not found then
    return;
  end if;
  insert into outbox.usage_hours (scope_id, hour, calls, tokens, cost_micros)
  select s.id, date_trunc('hour', u.at, 'UTC'), count(*), sum(u.tokens_in + u.tokens_out), coalesce(sum(u.cost_micros), 0)
  from outbox.usage_calls u
  cross join lateral (values (u.project_id), (u.team_id)) s (id)
  where u.at >= v_since and u.at < v_until
  group by 1, 2;
  update outbox.usage_closed set upto = v_until;
end
$$;
