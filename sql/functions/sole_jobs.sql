-- outbox.sole_jobs(events) -> the jobs of generation that are about these events and no others

drop function if exists outbox.sole_jobs;
create function outbox.sole_jobs(p_events uuid[]) returns uuid[]
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return array(
    select f.id from (
      select j.id from unnest(p_events) u (id)
      cross join lateral (select j.id, j.queue_id from outbox.jobs j where j.event_id = u.id offset 0) j
      join outbox.queues q on q.id = j.queue_id and q.handler = 'observe'
      union
      select m.job_id from unnest(p_events) u (id)
      cross join lateral (select m.job_id from outbox.members m where m.event_id = u.id offset 0) m) f
    where not exists (
      select from outbox.members m
      cross join lateral (select e.expunged_at from outbox.events e where e.id = m.event_id offset 0) e
      where m.job_id = f.id and m.event_id <> all (p_events) and e.expunged_at is null offset 0)
    order by f.id);
end
$$;
