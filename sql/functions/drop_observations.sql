-- outbox.drop_observations(project, observations) -> how many went, with their sources; subscribers are told

drop function if exists outbox.drop_observations;
create function outbox.drop_observations(p_project uuid, p_observations uuid[]) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_gone uuid[];
begin
  with gone as (
    delete from outbox.observations o using unnest(p_observations) u (id)
    where o.id = u.id and o.project_id = p_project returning o.id
  )
  select array_agg(g.id order by g.id) into v_gone from gone g;
  perform outbox.tell_deleted(p_project, 'memory.deleted', v_gone);
  return coalesce(cardinality(v_gone), 0);
end
$$;
