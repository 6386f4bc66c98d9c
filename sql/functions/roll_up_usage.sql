-- outbox.roll_up_usage(kept, limit) -> how many rows it dealt with: sums up months, lets old rows go
--
-- Hours of this month that are over are summed up for the budgets (`close_usage`). A month is summed up a day after its
-- end, once, whoever comes first. Rows older than `kept` go when their month is, limit of each kind a call; the sums stay.

create or replace function outbox.roll_up_usage(p_kept interval, p_limit int) returns int
language plpgsql
set jit = off
as $$
declare
  v_nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  v_month date := (date_trunc('month', (outbox.clock() - interval '1 day') at time zone 'UTC') - interval '1 month')::date;
  v_since timestamptz := v_month::timestamp at time zone 'UTC';
  v_until timestamptz := (v_month + interval '1 month') at time zone 'UTC';
  v_before timestamptz;
  v_done int := 0;
  v_gone int;
begin
  insert into outbox.usage_months (team_id, month, kind, amount) values (v_nobody, v_month, 'summed', 1)
  on conflict do nothing;
  if found then
    insert into outbox.usage_months (team_id, project_id, month, kind, model, amount)
    select t.id, u.project_id, v_month, u.kind, u.model, sum(u.amount)
    from outbox.teams t cross join lateral outbox.usage_rows(t.id, null, v_since, v_until) u
    group by t.id, u.project_id, u.kind, u.model having sum(u.amount) > 0;
    get diagnostics v_done = row_count;
  end if;
  v_before := least(v_until, date_trunc('month', outbox.clock() - p_kept, 'UTC'));
  delete from outbox.usage_calls u where u.ctid = any (array(
    select c.ctid from outbox.usage_calls c where c.at < v_before limit p_limit for update skip locked));
  get diagnostics v_gone = row_count;
  v_done := greatest(v_done, v_gone);
  delete from outbox.usage_requests u where u.ctid = any (array(
    select r.ctid from outbox.usage_requests r where r.day < (v_before at time zone 'UTC')::date
    limit p_limit for update skip locked));
  get diagnostics v_gone = row_count;
  v_done := greatest(v_done, v_gone);
  delete from outbox.usage_hours u where u.ctid = any (array(
    select h.ctid from outbox.usage_hours h where h.hour < v_before limit p_limit for update skip locked));
  get diagnostics v_gone = row_count;
  v_done := greatest(v_done, v_gone);
  delete from outbox.budget_marks u where u.ctid = any (array(
    select m.ctid from outbox.budget_marks m where m.period < v_before limit p_limit for update skip locked));
  get diagnostics v_gone = row_count;
  perform outbox.close_usage();
  return greatest(v_done, v_gone);
end
$$;
