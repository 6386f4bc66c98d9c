-- outbox.usage_rows(team, project, since, until) -> what was used: project, model, day, kind, amount
--
-- Of a whole team where no project is named. Calls and requests are read as they were written, events by their ids,
-- whose first bits are their time. Of a cost that nobody knows, the kind `call_unpriced` counts the calls.

create or replace function outbox.usage_rows(p_team uuid, p_project uuid, p_since timestamptz, p_until timestamptz)
returns table (project_id uuid, model text, day date, kind text, amount bigint)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select u.project_id, u.model, (u.at at time zone 'UTC')::date, k.kind, sum(k.amount)::bigint
  from outbox.usage_calls u
  cross join lateral (values ('call', 1::bigint), ('call_failed', (u.class <> 'ok')::int), ('tokens_in', u.tokens_in),
    ('tokens_out', u.tokens_out), ('tokens', u.tokens_in + u.tokens_out), ('cost_micros', coalesce(u.cost_micros, 0)),
    ('call_unpriced', (u.cost_micros is null)::int), ('observation', u.observations)) k (kind, amount)
  where u.team_id = p_team and u.at >= p_since and u.at < p_until and (p_project is null or u.project_id = p_project)
  group by 1, 2, 3, 4
  union all
  select r.project_id, '', r.day, 'request', r.requests
  from outbox.usage_requests r
  where r.team_id = p_team and r.day >= (p_since at time zone 'UTC')::date and r.day < (p_until at time zone 'UTC')::date
    and (p_project is null or r.project_id = p_project)
  union all
  select p.id, '', (outbox.uuid7_time(e.id) at time zone 'UTC')::date, 'event', count(*)
  from outbox.projects p
  cross join lateral (select e.id from outbox.events e
    where e.project_id = p.id and e.id >= outbox.uuid7_floor(p_since) and e.id < outbox.uuid7_floor(p_until) offset 0) e
  where p.team_id = p_team and (p_project is null or p.id = p_project)
  group by 1, 3;
end
$$;
