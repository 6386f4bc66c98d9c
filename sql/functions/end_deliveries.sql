-- outbox.end_deliveries(limit) -> how many deliveries to deleted endpoints were ended: cancelled, class endpoint_deleted
--
-- For the sweeper: of one such queue at a time, never waiting. What comes to stand there later (an event that is yet to
-- be placed, an attempt that was under way) is found for a day; after that its queue is as any other, and who claims a
-- delivery there ends it.

drop function if exists outbox.end_deliveries;
create function outbox.end_deliveries(p_limit int) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_end outbox.endpoint_ends;
  v_jobs uuid[];
  v_items outbox.settling[];
begin
  perform outbox.need_read_committed();
  for v_end in select * from outbox.endpoint_ends e order by e.queue_id for update skip locked loop
    v_jobs := array(
      (select r.job_id from outbox.ready r where r.queue_id = v_end.queue_id limit p_limit)
      union all
      (select l.job_id from outbox.later l where l.queue_id = v_end.queue_id limit p_limit)
      limit p_limit);
    if cardinality(v_jobs) = 0 then
      perform outbox.forget_endpoint(v_end, v_now);
      continue;
    end if;
    v_items := array(
      select row(i.ord, null, null, i.job_id, i.queue_id, i.lane, i.priority, i.run_at, i.no, i.attempt, i.series, null,
        'cancelled', null, 'endpoint_deleted', null, 'the endpoint was deleted', null, null, null, true, null, null, null,
        'cancelled', null)::outbox.settling
      from unnest(outbox.take_waiting(v_jobs, outbox.lock_lanes(v_jobs))) i);
    perform outbox.conclude(v_items, v_now);
    perform outbox.tell_waiters(array(select i.job_id from unnest(v_items) i));
    return cardinality(v_items);
  end loop;
  return 0;
end
$$;
