-- What did the pipeline do? The part of `audit_trail` that follows from rows which are there anyway
--
-- Events, jobs, the ledger, leases and observations. Ask by event_id or by job_id. Of the ledger only what a run came to:
-- what people did to a job (retried, cancelled, snoozed, purged) stands in the audit log, by whoever did it.
-- One that was put off beyond its deadline has failed.

create or replace view outbox.pipeline_trail as
select e.received_at as at, 'event.received' as action, 'agent_event' as resource_type, e.id::text as resource_id,
  e.team_id, e.project_id, e.actor, e.key_id, e.request_id, e.id as event_id, null::uuid as job_id,
  jsonb_strip_nulls(jsonb_build_object('sourceAdapter', e.adapter, 'sourceEventId', e.source_event_id,
    'eventType', e.type, 'serverSessionId', e.session_id, 'generationJobId', coalesce(
      (select j.id from outbox.jobs j join outbox.queues q on q.id = j.queue_id
        where j.event_id = e.id and q.handler = 'observe' order by j.id limit 1),
      (select m.job_id from outbox.members m where m.event_id = e.id limit 1)))) as details
from outbox.events e
union all
select s.at, n.prefix || s.verb, n.resource, j.id::text, j.team_id, j.project_id,
  coalesce(s.actor, case when s.asked then coalesce(j.actor, e.actor) end),
  coalesce(s.key_id, case when s.asked then coalesce(j.key_id, e.key_id) end),
  coalesce(j.request_id, e.request_id), j.event_id, j.id, s.details || n.source
from outbox.jobs j
join outbox.queues q on q.id = j.queue_id
left join lateral (
  select e.received_at, e.actor, e.key_id, e.request_id, e.adapter from outbox.events e where e.id = j.event_id) e on true
cross join lateral (
  select case when q.handler in ('observe', 'summarize') then 'generation_job.' else 'job.' end as prefix,
    case when q.handler in ('observe', 'summarize') then 'observation_generation_job' else 'job' end as resource,
    case when q.handler in ('observe', 'summarize') then jsonb_strip_nulls(jsonb_build_object(
      'sourceType', case q.handler when 'summarize' then 'session_summary' else 'agent_event' end,
      'sourceId', case q.handler when 'summarize' then j.session_id else j.event_id end, 'sourceAdapter', e.adapter))
      else '{}' end as source) n
cross join lateral (
  select greatest(outbox.uuid7_time(j.id), e.received_at + interval '1 us') as at, 'queued' as verb, true as asked,
    null::text as actor, null::uuid as key_id, jsonb_build_object('queue', q.name, 'handler', q.handler) as details
  union all
  select a.started_at, 'processing', false, null, null,
    jsonb_build_object('attempt', a.attempt, 'workerId', a.worker_id)
  from outbox.attempts a where a.job_id = j.id and a.started_at is not null
  union all
  select a.at, case
      when a.outcome in ('failed', 'timed_out') and a.retry_at is not null then 'retry_scheduled'
      when a.outcome = 'completed' then 'completed' when a.outcome = 'lost' then 'stalled' else 'failed' end,
    false, a.actor, a.key_id, jsonb_strip_nulls(jsonb_build_object('attempt', a.attempt, 'series', a.series,
      'outcome', a.outcome, 'classification', a.class, 'status', a.status, 'retryAt', a.retry_at,
      'retryInMs', round(extract(epoch from a.retry_at - a.at) * 1000)))
      || case when q.handler in ('observe', 'summarize') and jsonb_typeof(a.output) = 'object'
        then jsonb_strip_nulls(a.output) else '{}' end
  from outbox.attempts a
  where a.job_id = j.id and (a.outcome in ('completed', 'failed', 'timed_out', 'lost')
    or (a.outcome in ('snoozed', 'released') and a.retry_at is null))
  union all
  select l.claimed_at, 'processing', false, null, null, jsonb_build_object('workerId', l.worker_id)
  from outbox.leases l where j.id = any (l.job_ids)
) s
union all
select o.created_at, 'observation.created', 'observation', o.id::text, o.team_id, o.project_id, null, o.key_id, null,
  j.event_id, o.job_id,
  jsonb_strip_nulls(jsonb_build_object('generationJobId', o.job_id, 'sourceType', s.source_type, 'sourceId', s.source_id,
    'provider', o.metadata -> 'provider', 'model', o.metadata -> 'model', 'kind', o.kind, 'sourceAdapter',
    (select e.adapter from outbox.events e where e.id = s.source_id and s.source_type = 'agent_event'),
    'parsedObservationIndex', substring(o.generation_key from '^generation:v1:[^:]+:([0-9]+):')::int))
from outbox.observations o
left join outbox.jobs j on j.id = o.job_id
left join lateral (select r.source_type, r.source_id from outbox.observation_sources r
  where r.observation_id = o.id order by r.id limit 1) s on true
where o.origin <> 'manual';
