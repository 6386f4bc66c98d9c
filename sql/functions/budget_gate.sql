-- outbox.budget_gate(project, tokens, cost) -> the budget that forbids a call of that estimate, and until when
--
-- One row; nulls: go on. A month's budget is closed from spent + estimate = cap on, an hour's when that many calls
-- were made. Several closed: the one that opens last.

drop function if exists outbox.budget_gate;
create function outbox.budget_gate(p_project uuid, p_tokens bigint default 0, p_cost bigint default 0)
returns table (closed text, until timestamptz)
language plpgsql
as $$
declare
  v_closed record;
begin
  for v_closed in
    select * from outbox.budgets_of(p_project) b
    where b.spent + case b.budget when 'tokensPerMonth' then p_tokens when 'costMicrosPerMonth' then p_cost else 0 end
      >= b.cap
    order by b.period_end, b.scope, b.budget
  loop
    closed := v_closed.scope || '.' || v_closed.budget;
    until := v_closed.period_end;
    perform outbox.tell_budget(p_project, to_jsonb(v_closed), 100);
  end loop;
  return next;
end
$$;
