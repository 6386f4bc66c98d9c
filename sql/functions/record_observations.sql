-- after: memory_vector
-- outbox.record_observations(job, items) -> (index, observation_id, fresh) of each that stands after the call
--
-- What a model said of a job's events: items are {index, key, kind, content, metadata, sources, hash, simhash}, sources
-- being ids of the job's own events. Called in the fenced transaction of the job's end. Team, project and session are the job's;
-- nothing in an item can widen them. The same generation key again is the first row. A near-duplicate (`dedupe`) of one
-- of the last 200 of its kind within 7 days is not inserted: its sources are linked to the row that is there.
-- Items whose events were expunged or purged meanwhile are left out.

drop function if exists outbox.record_observations;
create function outbox.record_observations(p_job uuid, p_items jsonb, p_dedupe boolean)
returns table (index int, observation_id uuid, fresh boolean)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_variable
declare
  v_now timestamptz := outbox.clock();
  v_job outbox.jobs;
  v_session outbox.sessions;
  v_item record;
  v_sources uuid[];
begin
  select * into v_job from outbox.jobs j where j.id = p_job;
  v_session := outbox.session_of_job(v_job);
  -- Two calls that saw the same thing at once must not both find nothing like it.
  perform pg_advisory_xact_lock(hashtextextended('outbox.observations:' || v_job.project_id, 0));
  for v_item in
    select * from jsonb_to_recordset(p_items) i (index int, key text, kind text, content text, metadata jsonb,
      sources uuid[], hash text, simhash bigint) order by i.index
  loop
    v_sources := outbox.living_sources(v_job, v_item.sources);
    continue when cardinality(v_sources) = 0;
    index := v_item.index;
    fresh := false;
    select o.id into observation_id from outbox.observations o
    where o.project_id = v_job.project_id and o.generation_key = v_item.key;
    if observation_id is null and p_dedupe then
      observation_id := outbox.near_duplicate(v_job.project_id, v_item.kind, decode(v_item.hash, 'hex'), v_item.simhash, v_now);
      if observation_id is not null then
        perform outbox.seen_again(observation_id, v_now);
      end if;
    end if;
    if observation_id is null then
      fresh := true;
      observation_id := outbox.uuid7(v_now + v_item.index * interval '1 us');
      insert into outbox.observations (id, team_id, project_id, session_id, origin, kind, content, metadata,
        platform_source, generation_key, job_id, content_hash, simhash, created_at, updated_at, search)
      values (observation_id, v_job.team_id, v_job.project_id, v_session.id, 'generated', v_item.kind, v_item.content,
        v_item.metadata, v_session.platform_source, v_item.key, v_job.id, decode(v_item.hash, 'hex'), v_item.simhash,
        v_now, v_now, outbox.memory_vector(v_job.project_id, v_item.content, v_item.metadata));
    end if;
    insert into outbox.observation_sources (id, observation_id, project_id, source_type, source_id, job_id, created_at)
    select outbox.uuid7(v_now + s.n * interval '1 us'), record_observations.observation_id, v_job.project_id, 'agent_event', s.id, v_job.id, v_now
    from unnest(v_sources) with ordinality s(id, n)
    on conflict do nothing;
    return next;
    observation_id := null;
  end loop;
end
$$;
