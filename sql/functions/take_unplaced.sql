-- outbox.take_unplaced(jobs) -> those that are keyed and wait for their place; `place` cannot give them one now
--
-- They stand in no table. The project's `placing` row is locked, then looked again: once the ledger has a row of
-- a job, `place` passes it by.

create or replace function outbox.take_unplaced(p_jobs uuid[]) returns outbox.settling[]
language plpgsql
as $$
declare
  v_projects uuid[];
begin
  v_projects := array(
    select c.project_id from outbox.placing c
    where c.project_id = any (array(
      select j.project_id
      from unnest(p_jobs) u(id)
      cross join lateral (select j.id, j.project_id from outbox.jobs j
        where j.id = u.id and j.ordering_key is not null offset 0) j
      cross join lateral outbox.job_state(j.id) s
      where s.state = 'queued' and s.place = 'none'))
    order by c.project_id for update skip locked);
  if cardinality(v_projects) = 0 then
    return '{}';
  end if;
  return array(
    select row(0, null, null, j.id, j.queue_id, null, 0, coalesce(j.run_at, outbox.uuid7_time(j.id)), s.no + 1,
      s.attempt, s.series, null, null, null, null, null, null, null, null, null, true, null, null, null, 'queued',
      null)::outbox.settling
    from unnest(p_jobs) u(id)
    cross join lateral (select j.* from outbox.jobs j
      where j.id = u.id and j.ordering_key is not null and j.project_id = any (v_projects) offset 0) j
    cross join lateral outbox.job_state(j.id) s
    where s.state = 'queued' and s.place = 'none'
    order by j.id);
end
$$;
