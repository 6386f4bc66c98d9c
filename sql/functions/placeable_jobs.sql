-- outbox.placeable_jobs(batch, last) -> the keyed jobs of that range of the feed, in feed order
--
-- A job that was cancelled before its event was numbered gets no place.

create or replace function outbox.placeable_jobs(p_batch outbox.unplaced, p_last bigint)
returns outbox.placeable[]
language plpgsql
as $$
begin
  return array(
    select row(j.id, j.queue_id, j.ordering_key, coalesce(j.run_at, outbox.uuid7_time(j.id)),
      row_number() over (order by f.seq, i.n), 0, 0, 0)::outbox.placeable
    from outbox.feed f
    cross join lateral unnest(f.jobs) with ordinality i(id, n)
    cross join lateral (
      select j.id, j.queue_id, j.ordering_key, j.run_at from outbox.jobs j where j.id = i.id offset 0) j
    where f.project_id = p_batch.project_id and f.seq between p_batch.first_seq and p_last
      and f.sequenced_at = p_batch.sequenced_at and f.jobs is not null
      and not exists (select from outbox.attempts a where a.job_id = i.id offset 0)
    order by f.seq, i.n);
end
$$;
