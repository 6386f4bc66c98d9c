-- outbox.why_lane(job) -> (weight, reason, detail, until): which job of its lane is before it
--
-- A lane that only waits for its head to be claimed ranks after what keeps that head waiting.

drop function if exists outbox.why_lane;
create function outbox.why_lane(p_job outbox.jobs)
returns table (weight numeric, reason text, detail text, until timestamptz)
language plpgsql stable
as $$
declare
  v_now timestamptz := outbox.clock();
begin
  return query
  select case when l.lease_id is null and l.blocked_by is null and l.due_at <= v_now then 13.0 else 7.0 end, 'lane',
    format('behind job %s, which %s; %s ahead', b.job_id, case
      when l.lease_id is not null then 'runs'
      when l.blocked_by is not null then 'blocks since '
        || coalesce((select d.failed_at from outbox.dead_letters d where d.job_id = l.blocked_by)::text, 'it failed')
      else 'waits until ' || l.due_at || coalesce(', held: ' || l.held, '') end,
      a.n + (l.lease_id is not null or l.blocked_by is not null)::int),
    case when l.lease_id is null and l.blocked_by is null then l.due_at end
  from outbox.ready r
  join outbox.lanes l on l.id = r.lane
  cross join lateral (select count(*) as n from (
    select from outbox.ready x where x.queue_id = r.queue_id and x.lane = r.lane and x.priority = r.priority
      and (x.run_at, x.job_id) < (r.run_at, r.job_id) limit 10000) x) a
  cross join lateral (select coalesce(l.job_id, l.blocked_by, (
    select x.job_id from outbox.ready x where x.queue_id = r.queue_id and x.lane = r.lane
    order by x.priority, x.run_at, x.job_id limit 1)) as job_id) b
  where r.job_id = p_job.id and b.job_id <> p_job.id;
end
$$;
