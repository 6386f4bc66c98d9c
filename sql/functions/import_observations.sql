-- outbox.import_observations(whose, rows) -> how many were not there, each with its `sources`
--
-- What they are found by is made here: it belongs to the server's language and the project's number.

create or replace function outbox.import_observations(p_whose jsonb, p_rows jsonb) returns int
language plpgsql
as $$
declare
  v_project uuid := (p_whose ->> 'project_id')::uuid;
  v_taken int;
begin
  insert into outbox.observations (id, team_id, project_id, session_id, origin, kind, content, metadata,
    platform_source, revision, generation_key, idempotency_key, job_id, key_id, content_hash, simhash, created_at,
    updated_at, search)
  select n.id, n.team_id, n.project_id, n.session_id, n.origin, n.kind, n.content, n.metadata, n.platform_source,
    coalesce(n.revision, 1), n.generation_key, n.idempotency_key, n.job_id, n.key_id, n.content_hash, n.simhash,
    n.created_at, coalesce(n.updated_at, n.created_at), outbox.memory_vector(v_project, n.content, n.metadata)
  from jsonb_array_elements(p_rows) r
  cross join lateral jsonb_populate_record(null::outbox.observations, '{"metadata": {}}' || r || p_whose
    || jsonb_build_object('kind', r -> 'observation_kind')) n
  on conflict do nothing;
  get diagnostics v_taken = row_count;
  insert into outbox.observation_sources (id, observation_id, project_id, source_type, source_id, job_id, created_at)
  select coalesce(s.id, gen_random_uuid()), o.id, v_project, s.source_type, s.source_id, s.job_id,
    coalesce(s.created_at, o.created_at)
  from jsonb_array_elements(p_rows) r
  join outbox.observations o on o.id = (r ->> 'id')::uuid and o.project_id = v_project
  cross join lateral jsonb_populate_recordset(null::outbox.observation_sources,
    coalesce(nullif(r -> 'sources', 'null'), '[]')) s
  on conflict do nothing;
  return v_taken;
end
$$;
