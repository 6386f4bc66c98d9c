-- outbox.spent_on(budget, call) -> what that call takes of such a budget

create or replace function outbox.spent_on(p_budget text, p_call outbox.usage_calls) returns bigint
language sql immutable parallel safe
as $$
  select case p_budget
    when 'tokensPerMonth' then (p_call).tokens_in + (p_call).tokens_out
    when 'costMicrosPerMonth' then coalesce((p_call).cost_micros, 0)
    else 1 end
$$;
