-- outbox.hasten_gathering(session) -> how many jobs that waited for its end are due now
--
-- Called by whoever ends the session, in the same transaction, after its row was changed: then `place` either has
-- committed what it gathered while the session was open, or sees that it ends. What is gathered goes on to take
-- events until a worker closes it.

create or replace function outbox.hasten_gathering(p_session uuid) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_queues int[];
begin
  perform from outbox.sessions s where s.id = p_session for update;
  with due as (
    delete from outbox.later w where w.ctid = any (array(
      select l.ctid from outbox.later l
      where l.job_id = any (array(select g.job_id from outbox.gatherings g where g.session_id = p_session))
        and l.held = 'session_open' for update))
    returning w.*
  ), moved as (
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select d.queue_id, d.lane, d.priority, v_now, d.job_id, d.attempt, d.no, d.series from due d
  )
  select array_agg(d.queue_id) into v_queues from due d;
  if v_queues is not null then
    perform outbox.wake_queues(v_queues);
  end if;
  return coalesce(cardinality(v_queues), 0);
end
$$;
