-- outbox.hasten_lanes(jobs, lanes, now): the keyed half of `hasten`; the lanes are locked

create or replace function outbox.hasten_lanes(p_jobs uuid[], p_lanes bigint[], p_now timestamptz) returns void
language plpgsql
as $$
begin
  update outbox.ready r set run_at = least(r.run_at, greatest(p_now, b.place + interval '1 us'))
  from outbox.ready s
  cross join lateral (select max(x.run_at) as place from outbox.ready x
    where x.queue_id = s.queue_id and x.lane = s.lane and x.priority = s.priority
      and (x.run_at, x.job_id) < (s.run_at, s.job_id)) b
  where s.job_id = any (p_jobs) and s.lane = any (p_lanes) and s.run_at > p_now and r.ctid = s.ctid;
  update outbox.lanes l set due_at = least(l.due_at, p_now), held = null
  where l.id = any (p_lanes) and l.lease_id is null and l.blocked_by is null
    and (select r.job_id from outbox.ready r where r.queue_id = l.queue_id and r.lane = l.id
      order by r.priority, r.run_at, r.job_id limit 1) = any (p_jobs);
end
$$;
