-- outbox.restartable(jobs, lanes) -> those that may be queued anew: their lane is one of these, their key is free

create or replace function outbox.restartable(p_jobs uuid[], p_lanes bigint[]) returns uuid[]
language plpgsql
as $$
begin
  return array(
    select u.id
    from unnest(p_jobs) u(id)
    cross join lateral (select j.* from outbox.jobs j where j.id = u.id offset 0) j
    left join lateral (select l.id, l.blocked_by from outbox.lanes l where l.queue_id = j.queue_id
      and l.project_id = j.project_id and l.key = j.ordering_key offset 0) l on true
    where (j.ordering_key is null or l.id = any (p_lanes))
      and (j.unique_key is null or not exists (select from outbox.job_keys k
        where k.project_id = j.project_id and k.queue_id = j.queue_id and k.key = j.unique_key and k.job_id <> j.id offset 0))
    order by u.id);
end
$$;
