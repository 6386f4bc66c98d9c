-- outbox.matching_memories(project, filter, limit) -> ids, oldest first
--
-- Without a query the index is asked for the project alone.

drop function if exists outbox.matching_memories;
create function outbox.matching_memories(p_project outbox.projects, p_filter jsonb, p_limit int) returns uuid[]
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan set work_mem = '16MB'
as $$
declare
  v_gate tsquery := outbox.term_query(outbox.project_lexeme(p_project.number))::tsquery;
  v_words tsquery;
begin
  if p_filter ->> 'query' is not null then
    v_words := outbox.search_query(p_filter ->> 'query');
    if numnode(v_words) = 0 then
      return '{}';
    end if;
    v_gate := v_gate && v_words;
  end if;
  return array(
    select n.id from (
      select o.id, o.project_id, o.session_id, o.kind, o.platform_source, o.created_at, o.metadata
      from outbox.observations o where o.search @@ v_gate offset 0) n
    where n.project_id = p_project.id and n.created_at > coalesce(p_project.purged_at, '-infinity')
      and outbox.observation_fits(p_filter, n.id, n.session_id, n.kind, n.platform_source, n.created_at, n.metadata)
    order by n.created_at, n.id limit p_limit);
end
$$;
