-- outbox.purge_interactions(purge, limit) -> how many questions of the project it took, those that still wait too
--
-- Nobody is told: the purge says so for all.

create or replace function outbox.purge_interactions(p_purge outbox.purges, p_limit int) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_gone int;
begin
  delete from outbox.interactions i where i.ctid = any (array(
    select x.ctid from outbox.interactions x where x.project_id = p_purge.project_id and x.created_at <= p_purge.mark
    order by x.created_at, x.id limit p_limit));
  get diagnostics v_gone = row_count;
  return v_gone;
end
$$;
