-- Who did what, and what followed? One chain per event, job or request
--
-- What people and keys did stands in the audit log; what the pipeline did follows from events, jobs, leases and the
-- ledger, and is written nowhere twice. Ask by event_id, job_id, request_id or a range of `at`.

create or replace view outbox.audit_trail as
select a.at, a.action, a.resource_type, a.resource_id, a.team_id, a.project_id, a.actor, a.key_id, a.request_id,
  case when a.resource_type = 'agent_event' then a.resource_id::uuid end as event_id,
  case when a.resource_type in ('job', 'observation_generation_job') then a.resource_id::uuid end as job_id, a.details
from outbox.audit_log a
union all
select e.received_at, 'event.received', 'agent_event', e.id::text, e.team_id, e.project_id, e.actor, e.key_id,
  e.request_id, e.id, null, jsonb_strip_nulls(jsonb_build_object('sourceAdapter', e.adapter, 'sourceEventId',
    e.source_event_id, 'eventType', e.type, 'serverSessionId', e.session_id))
from outbox.events e
union all
select greatest(outbox.uuid7_time(j.id), e.received_at + interval '1 us'), n.prefix || 'queued', n.resource,
  j.id::text, j.team_id, j.project_id,
  coalesce(j.actor, e.actor), coalesce(j.key_id, e.key_id), coalesce(j.request_id, e.request_id), j.event_id, j.id,
  jsonb_build_object('queue', q.name, 'handler', q.handler)
from outbox.jobs j
join outbox.queues q on q.id = j.queue_id
cross join lateral (
  select case when q.handler in ('observe', 'summarize') then 'generation_job.' else 'job.' end as prefix,
    case when q.handler in ('observe', 'summarize') then 'observation_generation_job' else 'job' end as resource) n
left join lateral (
  select e.received_at, e.actor, e.key_id, e.request_id from outbox.events e where e.id = j.event_id) e on true
union all
select s.at, n.prefix || s.verb, n.resource, j.id::text, j.team_id, j.project_id, s.actor, s.key_id,
  coalesce(j.request_id, (select e.request_id from outbox.events e where e.id = j.event_id)), j.event_id, j.id,
  s.details
from outbox.jobs j
join outbox.queues q on q.id = j.queue_id
cross join lateral (
  select case when q.handler in ('observe', 'summarize') then 'generation_job.' else 'job.' end as prefix,
    case when q.handler in ('observe', 'summarize') then 'observation_generation_job' else 'job' end as resource) n
cross join lateral (
  select a.started_at as at, 'processing' as verb, null as actor, null::uuid as key_id,
    jsonb_build_object('attempt', a.attempt, 'workerId', a.worker_id) as details
  from outbox.attempts a where a.job_id = j.id and a.started_at is not null
  union all
  select a.at, case
      when a.outcome in ('failed', 'timed_out') and a.retry_at is not null then 'retry_scheduled'
      when a.outcome = 'timed_out' then 'failed' when a.outcome = 'lost' then 'stalled' else a.outcome end,
    a.actor, a.key_id, jsonb_strip_nulls(jsonb_build_object('attempt', a.attempt, 'series', a.series,
      'outcome', a.outcome, 'classification', a.class, 'status', a.status, 'retryAt', a.retry_at))
  from outbox.attempts a where a.job_id = j.id
  union all
  select l.claimed_at, 'processing', null, null, jsonb_build_object('workerId', l.worker_id)
  from outbox.leases l where j.id = any (l.job_ids)
) s;
