-- outbox.unhold(caller, held, project, limit) -> how many jobs and lanes that waited for that are due now
--
-- Of the caller's projects, or of the one named. What somebody holds is skipped: call again.

drop function if exists outbox.unhold;
create function outbox.unhold(p_caller outbox.caller, p_held text, p_project uuid default null, p_limit int default 1000)
returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_queues int[];
  v_lanes int[];
begin
  perform outbox.need_read_committed();
  if p_held is null or p_limit is null or p_limit not between 1 and 10000 then
    perform outbox.refuse(400, 'p_held: what they wait for; p_limit: 1 to 10,000');
  end if;
  if p_project is not null then
    perform outbox.find_project(v_caller, p_project);
  end if;
  v_queues := outbox.unhold_jobs(v_caller, p_held, p_project, p_limit, v_now);
  v_lanes := outbox.unhold_lanes(v_caller, p_held, p_project, p_limit - cardinality(v_queues), v_now);
  perform outbox.wake_queues(v_queues || v_lanes);
  perform outbox.audit(v_caller, 'jobs.unheld', 'job', null, v_caller.team_id, p_project, jsonb_build_object(
    'held', p_held, 'affected', cardinality(v_queues || v_lanes)));
  return cardinality(v_queues || v_lanes);
end
$$;
