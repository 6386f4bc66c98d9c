-- outbox.lock_place(job, state, place, lease, open): locks what that job stands in, waiting for it
--
-- The order of settle: the lease, then the lane; the order of place: its cursor, then the lane; the row of the
-- job itself, and its ledger, after its lane; the worker last.

create or replace function outbox.lock_place(
  p_job outbox.jobs, p_state text, p_place text, p_lease uuid, p_open boolean
) returns void
language plpgsql
as $$
begin
  if p_place = 'leases' then
    perform from outbox.leases l where l.id = p_lease for update;
  elsif p_place = 'none' then
    if p_state = 'queued' then
      perform from outbox.placing c where c.project_id = p_job.project_id for update;
    elsif p_state = 'cancelled' and p_open then
      perform outbox.open_lane(p_job);
    end if;
    return;
  end if;
  if p_open and p_place = 'dead_letters' then
    perform outbox.open_lane(p_job);
  elsif p_job.ordering_key is not null then
    perform from outbox.lanes l where l.queue_id = p_job.queue_id and l.project_id = p_job.project_id
      and l.key = p_job.ordering_key for update;
  end if;
  case p_place
    when 'ready' then perform from outbox.ready r where r.job_id = p_job.id for update;
    when 'later' then perform from outbox.later l where l.job_id = p_job.id for update;
    when 'dead_letters' then perform from outbox.dead_letters d where d.job_id = p_job.id for update;
    else perform from outbox.workers w
      where w.id = (select l.worker_id from outbox.leases l where l.id = p_lease) for update;
  end case;
end
$$;
