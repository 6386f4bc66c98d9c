-- outbox.open_lanes(jobs): lanes for keyed dead letters and cancelled ones whose lane is gone, in one order
--
-- Waits only for whoever opens the same lane now, and holds nothing else yet.

create or replace function outbox.open_lanes(p_jobs uuid[]) returns void
language plpgsql
as $$
begin
  insert into outbox.lanes (queue_id, project_id, key, last_place, due_at)
  select distinct j.queue_id, j.project_id, j.ordering_key, '-infinity'::timestamptz, outbox.clock()
  from unnest(p_jobs) u(id)
  cross join lateral (select j.queue_id, j.project_id, j.ordering_key from outbox.jobs j
    where j.id = u.id and j.ordering_key is not null offset 0) j
  where not exists (select from outbox.lanes l
    where l.queue_id = j.queue_id and l.project_id = j.project_id and l.key = j.ordering_key offset 0)
  order by 1, 2, 3
  on conflict do nothing;
end
$$;
