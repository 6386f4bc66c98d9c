-- outbox.gathered_of(project, batch, last, now) -> the events of that range that are to be gathered, by their keys

create or replace function outbox.gathered_of(
  p_project outbox.projects, p_batch outbox.unplaced, p_last bigint, p_now timestamptz
) returns outbox.gathered[]
language plpgsql
as $$
declare
  v_quiet interval := make_interval(secs => (outbox.project_setting(p_project, 'generation.quietMs'))::int / 1000.0);
  v_longest interval := make_interval(secs => (outbox.project_setting(p_project, 'generation.maxWaitMs'))::int / 1000.0);
  v_most int := (outbox.project_setting(p_project, 'generation.maxEvents'))::int;
begin
  return array(
    select row(p_project.id, p_project.team_id, p_project.number, q.id, g.key, g.session_id, false, g.seqs, g.events,
      g.ats, v_quiet, v_longest, v_most, p_now)::outbox.gathered
    from (
      select coalesce(e.session_id::text, e.adapter || '|' || coalesce(e.platform_source, '')) collate "C" as key,
        e.session_id, array_agg(f.seq order by f.seq) as seqs, array_agg(e.id order by f.seq) as events,
        array_agg(e.received_at order by f.seq) as ats
      from outbox.feed f
      cross join lateral (
        select e.id, e.session_id, e.adapter, e.platform_source, e.received_at, e.expunged_at
        from outbox.events e where e.id = f.event_id offset 0) e
      where f.project_id = p_batch.project_id and f.seq between p_batch.first_seq and p_last
        and f.sequenced_at = p_batch.sequenced_at and f.gather and e.expunged_at is null
        and e.received_at > coalesce(p_project.purged_at, '-infinity')
      group by 1, 2) g
    join outbox.queues q on q.name = 'observe'
    order by g.key);
end
$$;
