-- outbox.lanes_of(jobs) -> ids of the lanes of those that are keyed, as far as there are any

create or replace function outbox.lanes_of(p_jobs uuid[]) returns bigint[]
language plpgsql
as $$
begin
  return array(
    select l.id
    from unnest(p_jobs) u(id)
    cross join lateral (select j.queue_id, j.project_id, j.ordering_key from outbox.jobs j
      where j.id = u.id and j.ordering_key is not null offset 0) j
    cross join lateral (select l.id from outbox.lanes l where l.queue_id = j.queue_id
      and l.project_id = j.project_id and l.key = j.ordering_key offset 0) l);
end
$$;
