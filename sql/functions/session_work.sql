-- outbox.session_work(job) -> what a summary is made of, and whether it may be made
--
-- problem as of generation_work; a summary's authority is its newest retry's key, else the key of the end. restless: events came
-- in the last quiet time, or the session is open again; observing: jobs of generation that are not over;
-- waited: how often this job was put off for each; the counts are of all events and observations. Events come without those that
-- an observation tells of, but the first prompt and the last message of the assistant always; a payload over 8 KiB as the
-- beginning of its text. The newest 1,000 of each are given, and the first prompt of them all.

drop function if exists outbox.session_work;
create function outbox.session_work(p_job uuid)
returns table (job_id uuid, team_id uuid, project_id uuid, session_id uuid, project text, problem text, found jsonb,
  provider text, model text, max_output_tokens int, redact text, platform text, agent_type text, quiet interval,
  restless boolean, observing int, waited_restless int, waited_observing interval, event_count int, observation_count int,
  read_at timestamptz, previous text, observations jsonb, events jsonb, first_prompt jsonb, last_message jsonb)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  -- Read once: a moment that each row sees anew would count them apart.
  v_now timestamptz := outbox.clock();
  v_job outbox.jobs;
  v_project outbox.projects;
  v_session outbox.sessions;
  v_key uuid;
  v_floor timestamptz;
begin
  read_at := outbox.clock();
  select * into v_job from outbox.jobs j where j.id = p_job;
  if v_job.id is null then
    return;
  end if;
  select * into v_project from outbox.projects p where p.id = v_job.project_id;
  select * into v_session from outbox.sessions s where s.id = v_job.session_id;
  v_key := coalesce((select a.key_id from outbox.attempts a where a.job_id = p_job and a.outcome = 'retried'
    and a.key_id is not null order by a.no desc limit 1), v_job.key_id);
  v_floor := coalesce(v_project.purged_at, '-infinity');
  quiet := make_interval(secs => coalesce((outbox.project_setting(v_project, 'summary.quietSeconds'))::int, 30));
  return query
  with picked as (
    (select e.id from outbox.events e
      where e.session_id = v_session.id and e.expunged_at is null and e.received_at > v_floor
      order by e.id desc limit 1000)
    union
    (select e.id from outbox.events e
      where e.session_id = v_session.id and e.expunged_at is null and e.received_at > v_floor and e.type ~* 'prompt'
      order by e.id limit 1)
  ), events as materialized (
    select e.id, e.type, e.adapter, e.occurred_at, e.received_at, e.payload, exists (
      select from outbox.observation_sources x where x.source_id = e.id offset 0) as told
    from picked p cross join lateral (select e.* from outbox.events e where e.id = p.id offset 0) e
  ), seen as (
    select e.id, e.told, jsonb_build_object('id', e.id, 'type', e.type, 'source', e.adapter,
      'occurred_at', e.occurred_at, 'payload', case when pg_column_size(e.payload) > 8192 and octet_length(e.payload::text) > 8192
        then to_jsonb(left(e.payload::text, 4096)) else e.payload end) as event,
      e.type ~* 'prompt' as asks, e.type in ('assistant_message', 'Stop') as answers
    from events e
  ), observed as (
    select o.id, o.created_at, jsonb_build_object('kind', o.kind, 'content', o.content, 'created_at', o.created_at) as told
    from outbox.observations o
    where o.session_id = v_session.id and o.origin <> 'summary' and o.created_at > v_floor
    order by o.created_at desc, o.id desc limit 1000
  ), waits as (
    select count(*) filter (where a.class = 'session_active')::int as restless,
      v_now - min(a.at) filter (where a.class = 'observing') as observing
    from outbox.attempts a where a.job_id = p_job and a.outcome = 'snoozed'
  )
  select v_job.id, v_job.team_id, v_job.project_id, v_session.id, v_project.name, case
      when v_session.id is null or v_session.created_at <= v_floor then 'expunged'
      when v_project.team_id is distinct from v_job.team_id or v_session.team_id <> v_job.team_id
        or v_session.project_id <> v_job.project_id then 'scope_violation'
      when v_key is not null and outbox.key_revoked(v_key) then 'revoked_key'
      when v_project.archived_at is not null then 'project_archived' end,
    jsonb_build_object('jobTeamId', v_job.team_id, 'jobProjectId', v_job.project_id, 'projectTeamId', v_project.team_id,
      'sessionTeamId', v_session.team_id, 'sessionProjectId', v_session.project_id, 'keyId', v_key),
    outbox.project_setting(v_project, 'generation.provider') #>> '{}',
    outbox.project_setting(v_project, 'generation.model') #>> '{}',
    (outbox.project_setting(v_project, 'generation.maxOutputTokens') #>> '{}')::int,
    coalesce(outbox.project_setting(v_project, 'privacy.redactSecrets') #>> '{}', 'prompt'),
    v_session.platform_source, v_session.agent_type, session_work.quiet,
    v_session.ended_at is null or coalesce((select max(e.received_at) from events e) > outbox.clock() - session_work.quiet, false),
    outbox.observing(v_session.id, p_job), coalesce(w.restless, 0), coalesce(w.observing, '0'),
    (select count(*)::int from outbox.events e
      where e.session_id = v_session.id and e.expunged_at is null and e.received_at > v_floor),
    (select count(*)::int from outbox.observations o
      where o.session_id = v_session.id and o.origin <> 'summary' and o.created_at > v_floor),
    session_work.read_at,
    (select o.content from outbox.observations o
      where o.project_id = v_job.project_id and o.generation_key = 'summary:v1:' || v_session.id and o.created_at > v_floor),
    coalesce((select jsonb_agg(o.told order by o.created_at, o.id) from observed o), '[]'),
    coalesce((select jsonb_agg(s.event order by s.id) from seen s where not s.told), '[]'),
    (select s.event from seen s where s.asks order by s.id limit 1),
    (select s.event from seen s where s.answers order by s.id desc limit 1)
  from (values (1)) one left join waits w on true;
end
$$;
