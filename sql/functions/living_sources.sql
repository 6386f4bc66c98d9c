-- outbox.living_sources(job, events) -> those of its team and project that were neither expunged nor purged

create or replace function outbox.living_sources(p_job outbox.jobs, p_events uuid[]) returns uuid[]
language plpgsql stable
as $$
begin
  return array(
    select e.id from unnest(p_events) with ordinality i(id, n)
    cross join lateral (
      select e.id from outbox.events e join outbox.projects p on p.id = e.project_id
      where e.id = i.id and e.project_id = p_job.project_id and e.team_id = p_job.team_id and e.expunged_at is null
        and e.received_at > coalesce(p.purged_at, '-infinity') offset 0) e
    order by i.n);
end
$$;
