-- outbox.scrub_queries(purge, limit) -> (done, upto): what people asked of the project, out of the audit trail

drop function if exists outbox.scrub_queries;
create function outbox.scrub_queries(p_purge outbox.purges, p_limit int, out done int, out upto uuid)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_seen uuid[] := array(
    select l.id from outbox.audit_log l
    where l.team_id = p_purge.team_id and l.id > p_purge.upto and l.id < outbox.uuid7_floor(p_purge.mark + interval '1 hour')
    order by l.id limit p_limit);
begin
  update outbox.audit_log l set details = (l.details - 'query') #- '{filter,query}'
  from unnest(v_seen) u (id)
  where l.id = u.id and l.project_id = p_purge.project_id and l.at <= p_purge.mark
    and (l.details ? 'query' or l.details -> 'filter' ? 'query');
  get diagnostics done = row_count;
  upto := case when cardinality(v_seen) = p_limit then v_seen[p_limit] end;
end
$$;
