-- outbox.check_budgets(budgets): OX400 for what the budgets of a team cannot be

create or replace function outbox.check_budgets(p_budgets jsonb) returns void
language plpgsql immutable
as $$
declare
  v_wrong text;
begin
  if jsonb_typeof(p_budgets) <> 'object' then
    perform outbox.refuse(400, 'budgets: an object');
  end if;
  select b.key || case when b.key = any ('{tokensPerMonth,costMicrosPerMonth,callsPerHour,requestsPerMonth}')
      then ': a whole number from 0' else ': no such budget' end into v_wrong
  from jsonb_each(p_budgets) b
  where not (b.key = any ('{tokensPerMonth,costMicrosPerMonth,callsPerHour,requestsPerMonth}')
    and outbox.whole_between(b.value, 0, 1e15)) order by b.key limit 1;
  if v_wrong is not null then
    perform outbox.refuse(400, 'budgets.' || left(v_wrong, 140));
  end if;
end
$$;
