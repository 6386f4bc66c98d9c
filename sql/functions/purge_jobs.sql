-- outbox.purge_jobs(purge, limit) -> how many live jobs of generation were cancelled, of those made before the mark

drop function if exists outbox.purge_jobs;
create function outbox.purge_jobs(p_purge outbox.purges, p_limit int) returns int
language plpgsql
as $$
declare
  v_caller outbox.caller := row(p_purge.team_id, array[p_purge.project_id], false, p_purge.key_id, p_purge.actor,
    p_purge.request_id)::outbox.caller;
  v_items outbox.settling[];
begin
  v_items := outbox.take_jobs(outbox.purgeable_jobs(v_caller, p_purge.project_id, p_purge.mark, p_limit),
    '{queued,processing}');
  perform outbox.end_jobs(v_caller, v_items, 'cancelled', 'the project was purged', outbox.clock());
  return cardinality(v_items);
end
$$;
