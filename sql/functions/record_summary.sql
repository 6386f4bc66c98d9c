-- after: memory_vector
-- outbox.record_summary(job, content, metadata, read_at) -> (observation_id, revision, fresh): the job's session has one summary
--
-- Called in the fenced transaction of the job's end. A renewal replaces content and metadata and counts the revision; id and
-- creation time stay. Not fresh: a summary stands already that was made from a later reading of the session, by a job that
-- overtook this one. Null: the session is gone or purged, nothing is written. No purge begins meanwhile: a new row would be
-- younger than its mark.

drop function if exists outbox.record_summary;
create function outbox.record_summary(p_job uuid, p_content text, p_metadata jsonb, p_read_at timestamptz)
returns table (observation_id uuid, revision int, fresh boolean)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now timestamptz := outbox.clock();
  v_job outbox.jobs;
  v_session outbox.sessions;
begin
  select * into v_job from outbox.jobs j where j.id = p_job;
  perform outbox.lock_memory(v_job.project_id);
  select s.* into v_session from outbox.sessions s join outbox.projects p on p.id = s.project_id
  where s.id = v_job.session_id and s.project_id = v_job.project_id and s.team_id = v_job.team_id
    and s.created_at > coalesce(p.purged_at, '-infinity') for update of s;
  if v_session.id is null then
    return;
  end if;
  if v_session.summary_read_at > p_read_at then
    return query select o.id, o.revision, false from outbox.observations o
    where o.project_id = v_job.project_id and o.generation_key = 'summary:v1:' || v_session.id;
    return;
  end if;
  update outbox.sessions s set summarized_at = v_now, summary_read_at = p_read_at, updated_at = v_now
  where s.id = v_session.id;
  return query
  with written as (
    insert into outbox.observations as o (id, team_id, project_id, session_id, origin, kind, content, metadata,
      platform_source, generation_key, job_id, created_at, updated_at, search)
    values (outbox.uuid7(v_now), v_job.team_id, v_job.project_id, v_session.id, 'summary', 'summary', p_content,
      p_metadata, v_session.platform_source, 'summary:v1:' || v_session.id, v_job.id, v_now, v_now,
      outbox.memory_vector(v_job.project_id, p_content, p_metadata))
    on conflict (project_id, generation_key) where generation_key is not null do update
    set content = excluded.content, metadata = excluded.metadata, job_id = excluded.job_id, search = excluded.search,
      updated_at = v_now, revision = o.revision + 1
    returning o.id, o.revision
  ), sourced as (
    insert into outbox.observation_sources (id, observation_id, project_id, source_type, source_id, job_id, created_at)
    select outbox.uuid7(v_now), w.id, v_job.project_id, 'session_summary', v_session.id, v_job.id, v_now from written w
    on conflict do nothing
  )
  select w.id, w.revision, true from written w;
end
$$;
