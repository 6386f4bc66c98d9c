-- outbox.generation_work(jobs) -> what each job of generation is about, and whether it may be done
--
-- problem: expunged (nothing left of its events), scope_violation (team or project of the rows differ), revoked_key
-- (who published, or retried, has no right any more; an expired key had it when the event was accepted), or
-- project_archived; null: none. revoked, revoked_keys: the events left out for their keys while others may be shown. The authority of a job is its newest retry's key, else the key of each event. A payload over
-- 256 KiB comes as the beginning of its text, since a prompt takes less.

drop function if exists outbox.generation_work;
create function outbox.generation_work(p_jobs uuid[])
returns table (job_id uuid, team_id uuid, project_id uuid, session_id uuid, project text, problem text, found jsonb,
  provider text, model text, max_output_tokens int, types text[], dedupe boolean, redact text, platform text,
  agent_type text, revoked int, revoked_keys uuid[], events jsonb)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select j.id, j.team_id, j.project_id, s.id, p.name, case
      when p.id is null or p.team_id <> j.team_id or e.foreign_rows > 0
        or (s.id is not null and (s.team_id <> j.team_id or s.project_id <> j.project_id)) then 'scope_violation'
      when coalesce(e.events, 0) = 0 then 'expunged'
      when a.key_id is not null and outbox.key_revoked(a.key_id) then 'revoked_key'
      when a.key_id is null and e.allowed = 0 then 'revoked_key'
      when p.archived_at is not null then 'project_archived' end,
    jsonb_strip_nulls(jsonb_build_object('events', e.foreign_ids, 'jobTeamId', j.team_id, 'jobProjectId', j.project_id, 'projectTeamId', p.team_id,
      'sessionTeamId', s.team_id, 'sessionProjectId', s.project_id, 'keyId', coalesce(a.key_id, e.key_id))),
    outbox.project_setting(p, 'generation.provider') #>> '{}', outbox.project_setting(p, 'generation.model') #>> '{}',
    (outbox.project_setting(p, 'generation.maxOutputTokens') #>> '{}')::int,
    array(select jsonb_array_elements_text(outbox.project_setting(p, 'generation.types'))),
    coalesce((outbox.project_setting(p, 'dedupe.enabled'))::boolean, true),
    coalesce(outbox.project_setting(p, 'privacy.redactSecrets') #>> '{}', 'prompt'),
    coalesce(s.platform_source, e.platform), s.agent_type, coalesce(e.revoked, 0),
    coalesce(e.revoked_keys, '{}'), coalesce(e.seen, '[]')
  from unnest(p_jobs) with ordinality i(id, n)
  cross join lateral (select j.* from outbox.jobs j where j.id = i.id offset 0) j
  left join lateral (select p.* from outbox.projects p where p.id = j.project_id) p on true
  left join lateral (
    select a.key_id from outbox.attempts a
    where a.job_id = j.id and a.outcome = 'retried' and a.key_id is not null order by a.no desc limit 1) a on true
  left join lateral outbox.generation_events(j, p.purged_at, a.key_id is not null) e on true
  left join lateral (select s.* from outbox.sessions s where s.id = coalesce(j.session_id, e.session_id)) s on true
  order by i.n;
end
$$;
