-- outbox.pick_jobs(caller, filter, states, limit) -> (job_id, state, matched), oldest first; locks nothing
--
-- since and until mean: failed since, for dead letters; made since, for all others. OX400 for malformed ids and
-- times, a limit not in 1 to 10,000; OX404 for a project the caller does not see.

drop function if exists outbox.pick_jobs;
create function outbox.pick_jobs(p_caller outbox.caller, p_filter jsonb, p_states text[], p_limit int)
returns table (job_id uuid, state text, matched int)
language plpgsql
as $$
declare
  v_project uuid;
  v_since timestamptz;
  v_until timestamptz;
  v_session uuid;
  v_classes text[] := array(select jsonb_array_elements_text(p_filter -> 'classification'));
  v_ids uuid[];
begin
  v_project := p_filter ->> 'projectId';
  v_session := p_filter ->> 'sessionId';
  v_since := outbox.filter_time(p_filter -> 'since');
  v_until := outbox.filter_time(p_filter -> 'until');
  if p_limit is null or p_limit not between 1 and 10000 then
    perform outbox.refuse(400, 'p_limit: 1 to 10,000');
  end if;
  if v_project is not null then
    perform outbox.find_project(p_caller, v_project);
  end if;
  if p_filter ? 'ids' then
    v_ids := array(select jsonb_array_elements_text(p_filter -> 'ids'));
  end if;
  return query
  select c.job_id, c.state, (count(*) over ())::int
  from outbox.jobs_in(p_states, v_ids) c
  cross join lateral (select j.* from outbox.jobs j where j.id = c.job_id offset 0) j
  cross join lateral (select q.name, q.handler from outbox.queues q where q.id = j.queue_id) q
  where outbox.sees(p_caller, j.team_id, j.project_id)
    and (v_project is null or j.project_id = v_project)
    and (not p_filter ? 'queue' or q.name = p_filter ->> 'queue')
    and (not p_filter ? 'handler' or q.handler = p_filter ->> 'handler')
    and (not p_filter ? 'sourceType' or p_filter ->> 'sourceType' = case
      when q.handler = 'summarize' then 'session_summary' when j.event_id is null then 'direct' else 'agent_event' end)
    and (not p_filter ? 'classification' or coalesce(c.class, (select a.class from outbox.attempts a
      where a.job_id = j.id order by a.no desc limit 1)) = any (v_classes))
    and (v_since is null or coalesce(c.failed_at, outbox.uuid7_time(j.id)) >= v_since)
    and (v_until is null or coalesce(c.failed_at, outbox.uuid7_time(j.id)) <= v_until)
    and (v_session is null or j.session_id = v_session or exists (select from outbox.events e where e.id = j.event_id and e.session_id = v_session offset 0))
  order by c.job_id
  limit p_limit;
exception
  when data_exception then
    perform outbox.refuse(400, 'p_filter: ' || sqlerrm);
end
$$;
