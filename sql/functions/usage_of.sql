-- outbox.usage_of(caller, since, until, group_by) -> amounts by kind, and by project, model or day where asked
--
-- Of the caller's project, or its whole team. A month that was summed up is read from its sums, but for the days,
-- which are there as long as the rows are.

create or replace function outbox.usage_of(
  p_caller outbox.caller, p_since timestamptz, p_until timestamptz, p_group_by text default null
) returns table ("group" text, kind text, amount bigint)
language plpgsql stable
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project uuid := v_caller.project_ids[1];
  v_month date := (p_since at time zone 'UTC')::date;
  v_summed boolean := exists (select from outbox.usage_months m
    where m.team_id = '00000000-0000-0000-0000-000000000000' and m.month = v_month);
begin
  return query
  select case p_group_by when 'project' then u.project_id::text when 'model' then nullif(u.model, '')
      when 'day' then u.day::text end, u.kind, sum(u.amount)::bigint
  from (
    select * from outbox.usage_rows(v_caller.team_id, v_project, p_since, p_until)
    where not v_summed or p_group_by = 'day'
    union all
    select m.project_id, m.model, null::date, m.kind, m.amount from outbox.usage_months m
    where v_summed and coalesce(p_group_by, '') <> 'day' and m.team_id = v_caller.team_id and m.month = v_month
      and (v_project is null or m.project_id = v_project)) u
  group by 1, 2 having sum(u.amount) > 0 order by 1, 2;
end
$$;
