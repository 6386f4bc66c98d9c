-- outbox.open_lane(job): the lane of that keyed job, there and locked
--
-- `do update`, never `do nothing`: a worker that is just closing the empty lane holds its row. Its first place
-- is still to be said.

create or replace function outbox.open_lane(p_job outbox.jobs) returns void
language plpgsql
as $$
begin
  insert into outbox.lanes as l (queue_id, project_id, key, last_place, due_at)
  select p_job.queue_id, p_job.project_id, p_job.ordering_key, '-infinity', outbox.clock()
  where p_job.ordering_key is not null
  on conflict (queue_id, project_id, key) do update set last_place = l.last_place;
end
$$;
