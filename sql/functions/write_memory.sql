-- outbox.write_memory(caller, project, memory) -> (observation_id, made): what a person or an agent wants remembered
--
-- Memory: content, kind, metadata, session, contentSession, platform, anyPlatform, key. The same key again is the
-- first row; equal texts without one are memories each. Makes no job. Errors: OX403 (session), OX404 (project),
-- OX409 (archived).

drop function if exists outbox.write_memory;
create function outbox.write_memory(p_caller outbox.caller, p_project uuid, p_memory jsonb)
returns table (observation_id uuid, made boolean)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_project outbox.projects := outbox.caller_project(v_caller, p_project);
  v_session uuid;
  v_now timestamptz;
  v_id uuid;
begin
  perform outbox.need_read_committed();
  perform outbox.lock_memory(v_project.id);
  v_project := outbox.caller_project(v_caller, v_project.id);
  v_session := outbox.memory_session(v_project, p_memory);
  loop
    v_now := outbox.clock();
    insert into outbox.observations as o (id, team_id, project_id, session_id, origin, kind, content, metadata,
      platform_source, idempotency_key, key_id, created_at, updated_at, search)
    values (outbox.uuid7(v_now), v_project.team_id, v_project.id, v_session, 'manual', p_memory ->> 'kind',
      p_memory ->> 'content', p_memory -> 'metadata', p_memory ->> 'platform', p_memory ->> 'key', v_caller.key_id,
      v_now, v_now, outbox.memory_vector(v_project.id, p_memory ->> 'content', p_memory -> 'metadata'))
    on conflict (project_id, idempotency_key) where idempotency_key is not null do nothing
    returning o.id into v_id;
    if v_id is not null then
      perform outbox.audit(v_caller, 'memory.write', 'observation', v_id::text, v_project.team_id, v_project.id,
        jsonb_build_object('kind', p_memory ->> 'kind'));
      return query select v_id, true;
      return;
    end if;
    select o.id into v_id from outbox.observations o
    where o.project_id = v_project.id and o.idempotency_key = p_memory ->> 'key'
      and o.created_at > coalesce(v_project.purged_at, '-infinity');
    if v_id is not null then
      return query select v_id, false;
      return;
    end if;
    -- Older than a purge: nobody sees it any more, so nobody is given it.
    update outbox.observations o set idempotency_key = null
    where o.project_id = v_project.id and o.idempotency_key = p_memory ->> 'key' and o.created_at <= v_project.purged_at;
  end loop;
end
$$;
