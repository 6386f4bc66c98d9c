-- outbox.event_timeline(event, audit, limit) -> (at, kind, said): what followed from it, oldest first
--
-- `audit`: with what the audit log says of the event and its jobs. Whoever asks has seen that the event is the caller's.

drop function if exists outbox.event_timeline;
create function outbox.event_timeline(p_event uuid, p_audit boolean, p_limit int)
returns table (at timestamptz, kind text, said jsonb)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  with made as materialized (
    select j.id, q.name as queue, q.handler
    from (
      select j.id, j.queue_id from outbox.jobs j where j.event_id = p_event
      union
      select j.id, j.queue_id from outbox.members m
      cross join lateral (select j.id, j.queue_id from outbox.jobs j where j.id = m.job_id offset 0) j
      where m.event_id = p_event) j
    join outbox.queues q on q.id = j.queue_id
  )
  select t.at, t.kind, t.said from (
    select e.received_at as at, 0 as rank, 'received' as kind, '{}'::jsonb as said
    from outbox.events e where e.id = p_event
    union all
    select f.sequenced_at, 1, 'sequenced', jsonb_build_object('position', s.epoch || '-' || f.seq)
    from outbox.feed f join outbox.streams s on s.project_id = f.project_id where f.event_id = p_event
    union all
    select outbox.uuid7_time(j.id), 2, 'job_queued',
      jsonb_build_object('jobId', j.id, 'queue', j.queue, 'handler', j.handler)
    from made j
    union all
    select a.started_at, 3, 'attempt_started',
      jsonb_build_object('jobId', j.id, 'attempt', a.attempt, 'series', a.series)
    from made j join outbox.attempts a on a.job_id = j.id where a.started_at is not null
    union all
    select a.at, 4, case
        when a.outcome = 'completed' then 'job_completed'
        when a.outcome = 'cancelled' then 'job_cancelled'
        when d.job_id is not null and a.no = d.no then 'job_failed'
        when a.outcome in ('failed', 'timed_out', 'lost') then 'attempt_failed' else a.outcome end,
      jsonb_strip_nulls(jsonb_build_object('jobId', j.id, 'attempt', a.attempt, 'class', a.class,
        'status', a.status, 'outcome', coalesce(o.said ->> 'outcome', a.outcome),
        'observationIds', o.said -> 'observationIds',
        'retryInMs', round(extract(epoch from a.retry_at - a.at) * 1000)))
    from made j
    join outbox.attempts a on a.job_id = j.id
    left join outbox.dead_letters d on d.job_id = j.id
    -- What a user's handler puts out is its own affair.
    cross join lateral (select case when a.outcome = 'completed' and j.handler in ('observe', 'summarize')
      then a.output end as said) o
    union all
    select l.at, 5, 'audit', jsonb_build_object('action', l.action, 'actorId', l.actor)
    from outbox.audit_log l
    where p_audit and (l.resource_id = p_event::text or l.resource_id in (select j.id::text from made j))
  ) t order by date_trunc('milliseconds', t.at), t.rank limit p_limit;
end
$$;
