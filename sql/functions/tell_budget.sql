-- outbox.tell_budget(project, spending, percent): budget.warning or budget.exhausted, once a period
--
-- `spending` is a row of `budgets_of`. A team's is told in the project whose call crossed the mark.

create or replace function outbox.tell_budget(p_project uuid, p_spending jsonb, p_percent int) returns void
language plpgsql
as $$
begin
  insert into outbox.budget_marks (scope_id, budget, period, percent, at)
  values ((p_spending ->> 'scope_id')::uuid, p_spending ->> 'budget', (p_spending ->> 'period')::timestamptz, p_percent,
    outbox.clock())
  on conflict do nothing;
  if found then
    perform outbox.announce(p_project, case p_percent when 100 then 'budget.exhausted' else 'budget.warning' end,
      jsonb_build_object('scope', p_spending -> 'scope', 'scopeId', p_spending -> 'scope_id',
        'budget', p_spending -> 'budget', 'cap', p_spending -> 'cap', 'spent', p_spending -> 'spent',
        'percent', p_percent, 'untilEpoch', outbox.ms((p_spending ->> 'period_end')::timestamptz)));
  end if;
end
$$;
