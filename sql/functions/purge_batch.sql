-- outbox.purge_batch(purge, limit) -> (done, upto): one batch of the step it is at; upto null: the step is through

drop function if exists outbox.purge_batch;
create function outbox.purge_batch(p_purge outbox.purges, p_limit int, out done int, out upto uuid)
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  if p_purge.step = 0 then
    done := outbox.purge_jobs(p_purge, p_limit);
    upto := case when done > 0 then p_purge.upto end;
  elsif p_purge.step = 1 then
    delete from outbox.observations o where o.ctid = any (array(
      select x.ctid from outbox.observations x where x.project_id = p_purge.project_id and x.created_at <= p_purge.mark
      order by x.created_at, x.id limit p_limit));
    get diagnostics done = row_count;
    upto := case when done = p_limit then p_purge.upto end;
  elsif p_purge.step = 2 then
    select b.done, b.upto into done, upto from outbox.purge_events(p_purge, p_limit) b;
  elsif p_purge.step = 3 then
    delete from outbox.sessions s where s.ctid = any (array(
      select x.ctid from outbox.sessions x where x.project_id = p_purge.project_id and x.created_at <= p_purge.mark
      order by x.project_id, x.id limit p_limit));
    get diagnostics done = row_count;
    upto := case when done = p_limit or outbox.purge_interactions(p_purge, p_limit) = p_limit then p_purge.upto end;
  else
    select b.done, b.upto into done, upto from outbox.scrub_queries(p_purge, p_limit) b;
  end if;
end
$$;
