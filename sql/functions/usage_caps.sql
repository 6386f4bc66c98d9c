-- outbox.usage_caps(caller, requests) -> the caps in force on the caller's project, else on its team, and what is spent
--
-- `requests`: the server's cap of a team's month, where the team has none.

create or replace function outbox.usage_caps(p_caller outbox.caller, p_requests bigint)
returns table (budget text, cap bigint, spent bigint)
language plpgsql stable
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project uuid := v_caller.project_ids[1];
  v_day date := date_trunc('month', outbox.clock() at time zone 'UTC')::date;
begin
  if v_project is not null then
    return query select b.budget, b.cap, b.spent from outbox.budgets_of(v_project) b where b.scope = 'project';
    return;
  end if;
  return query
  select b.budget, b.cap, b.spent from outbox.projects p cross join lateral outbox.budgets_of(p.id) b
  where p.id = (select o.id from outbox.projects o where o.team_id = v_caller.team_id limit 1) and b.scope = 'team';
  return query
  select 'requestsPerMonth', c.cap, (select coalesce(sum(u.requests), 0)::bigint from outbox.usage_requests u
    where u.team_id = v_caller.team_id and u.day >= v_day)
  from (select coalesce((t.budgets ->> 'requestsPerMonth')::bigint, p_requests) as cap
    from outbox.teams t where t.id = v_caller.team_id) c
  where c.cap is not null;
end
$$;
