-- outbox.lock_lanes(jobs) -> ids of their lanes that nobody else holds, locked; never waits

create or replace function outbox.lock_lanes(p_jobs uuid[]) returns bigint[]
language plpgsql
as $$
begin
  return array(
    select l.id
    from unnest(p_jobs) u(id)
    cross join lateral (select j.queue_id, j.project_id, j.ordering_key from outbox.jobs j
      where j.id = u.id and j.ordering_key is not null) j
    join outbox.lanes l on l.queue_id = j.queue_id and l.project_id = j.project_id and l.key = j.ordering_key
    order by l.queue_id, l.project_id, l.key
    for update of l skip locked);
end
$$;
