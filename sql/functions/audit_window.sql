-- after: trail_jobs
-- outbox.audit_window(team, projects, whole, filter, from, to, limit) -> the newest of that time, unsorted, and some more
--
-- `whole`: rows of the team that belong to no project count too. Team null: all teams'.

create or replace function outbox.audit_window(
  p_team uuid, p_projects uuid[], p_whole boolean, p_filter jsonb, p_from timestamptz, p_to timestamptz, p_limit int
) returns setof outbox.trail
language plpgsql stable
set jit = off set enable_seqscan = off
as $$
declare
  v_from uuid := outbox.uuid7_floor(p_from);
  v_to uuid := outbox.uuid7_floor(p_to);
  v_action text := p_filter ->> 'action';
  -- Where the newest alone may fit, no others need be looked at.
  v_most int := case when p_filter ?| '{resourceType,actorId,apiKeyId,requestId}' then null else p_limit end;
  -- What the ledger has to say of a job for such an action; null: nothing.
  v_outcomes text[] := case coalesce(split_part(v_action, '.', 2), '*')
    when 'completed' then '{completed}' when 'failed' then '{failed,timed_out,snoozed,released}' when 'retry_scheduled' then '{failed,timed_out}' when 'stalled' then '{lost}'
    when 'queued' then null when 'processing' then null when 'created' then null when '*' then null
    else '{}' end::text[];
begin
  return query
  select a.id, a.at, a.action, a.resource_type, a.resource_id, a.team_id, a.project_id, a.actor, a.key_id, a.request_id,
    null::uuid, null::uuid, a.details
  from outbox.audit_log a
  where (p_team is null or a.team_id = p_team) and a.id >= v_from and a.id < v_to
    and (p_whole or a.project_id = any (p_projects)) and outbox.action_fits(a.action, v_action)
  order by a.id desc limit v_most;
  if outbox.action_fits('event.received', v_action) then
    return query
    select t.* from unnest(p_projects) p (id)
    cross join lateral (select e.id from outbox.events e where e.project_id = p.id and e.id >= v_from and e.id < v_to
        and outbox.asked_by(e.request_id, e.actor, e.key_id, p_filter)
      order by e.id desc limit v_most offset 0) e
    cross join lateral outbox.trail_of_event(e.id) t;
  end if;
  if v_action is null or v_action = 'observation.created' or v_action = 'observation.*' or v_action ~ '^(generation_)?job\.' then
    return query
    select t.* from outbox.trail_jobs(p_projects, p_from, p_to) c (id)
    cross join lateral (select j.id from outbox.jobs j
      left join lateral (select e.request_id, e.actor, e.key_id from outbox.events e where e.id = j.event_id offset 0) e on true
      where j.id = c.id and (v_outcomes is null or exists (
          select from outbox.attempts a where a.job_id = j.id and a.outcome = any (v_outcomes) offset 0))
        and (outbox.asked_by(coalesce(j.request_id, e.request_id), coalesce(j.actor, e.actor), coalesce(j.key_id, e.key_id),
            p_filter) or (p_filter ?| '{actorId,apiKeyId}' and exists (
          select from outbox.attempts a where a.job_id = j.id and a.actor is not null offset 0))) offset 0) j
    cross join lateral outbox.trail_of_job(j.id) t
    where t.at >= p_from and t.at < p_to;
  end if;
end
$$;
