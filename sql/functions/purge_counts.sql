-- outbox.purge_counts(caller, project) -> what a purge would take now; errors: OX404

drop function if exists outbox.purge_counts;
create function outbox.purge_counts(
  p_caller outbox.caller, p_project uuid, out observations bigint, out agent_events bigint, out sessions bigint,
  out jobs bigint
)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_project outbox.projects := outbox.find_project(p_caller, p_project);
  v_since timestamptz := coalesce(v_project.purged_at, '-infinity');
begin
  observations := (select count(*) from outbox.observations o where o.project_id = p_project and o.created_at > v_since);
  agent_events := (select count(*) from outbox.events e
    where e.project_id = p_project and e.received_at > v_since and e.expunged_at is null);
  sessions := (select count(*) from outbox.sessions s where s.project_id = p_project and s.created_at > v_since);
  jobs := cardinality(outbox.purgeable_jobs(p_caller, p_project, outbox.clock(), 10000));
end
$$;
