-- after: audit_window, audit_chain
-- outbox.audit_page(caller, filter, before, limit) -> the trail the caller may see, newest first, from beyond `before`
--
-- Filter: action, resourceType, resourceId, actorId, apiKeyId, requestId, projectId, eventId, jobId, since, until. A
-- chain is read by its ids; else time is walked backwards, in steps that grow while they are quick, until the page is
-- full. After 3 s it ends early, with a row without an action: from beyond its id it goes on.

create or replace function outbox.audit_page(p_caller outbox.caller, p_filter jsonb, p_before uuid, p_limit int)
returns setof outbox.trail
language plpgsql stable
set jit = off
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_projects uuid[] := array(select p.id from outbox.projects p
    where outbox.sees(v_caller, p.team_id, p.id) and coalesce(p.id::text = p_filter ->> 'projectId', not p_filter ? 'projectId'));
  v_whole boolean := v_caller.project_ids is null and not p_filter ? 'projectId';
  v_first timestamptz := greatest((p_filter ->> 'since')::timestamptz, (select min(t.created_at) from outbox.teams t
    where v_caller.team_id is null or t.id = v_caller.team_id) - interval '1 hour');
  v_to timestamptz := least((p_filter ->> 'until')::timestamptz, outbox.uuid7_time(p_before) + interval '1 ms',
    outbox.clock() + interval '1 s');
  v_from timestamptz;
  v_step interval := '15 s';
  v_began timestamptz := clock_timestamp();
  v_last timestamptz := v_began;
  v_left int := p_limit;
  v_got int;
begin
  if p_filter ?| '{eventId,jobId,resourceId}' then
    return query
    select t.* from outbox.audit_chain((p_filter ->> 'eventId')::uuid, (p_filter ->> 'jobId')::uuid, p_filter ->> 'resourceId') t
    where outbox.sees(v_caller, t.team_id, t.project_id) and outbox.trail_fits(t, p_filter)
      and (p_before is null or t.id < p_before) and t.at < v_to and t.at >= coalesce(v_first, t.at)
    order by t.id desc limit p_limit;
    return;
  end if;
  while v_left > 0 and v_to > v_first loop
    v_from := greatest(date_trunc('milliseconds', v_to - v_step), v_first);
    return query
    select t.* from outbox.audit_window(v_caller.team_id, v_projects, v_whole, p_filter, v_from, v_to, v_left) t
    where outbox.trail_fits(t, p_filter) and (p_before is null or t.id < p_before)
    order by t.id desc limit v_left;
    get diagnostics v_got = row_count;
    v_left := v_left - v_got;
    v_to := v_from;
    v_step := v_step * case when clock_timestamp() - v_last < '200 ms' then 4 else 1 end;
    v_last := clock_timestamp();
    if v_left > 0 and v_to > v_first and v_last - v_began > '3 s' then
      return query select (row(outbox.uuid7_floor(v_to), v_to, null, null, null, null, null, null, null, null, null,
        null, null)::outbox.trail).*;
      return;
    end if;
  end loop;
end
$$;
