-- after: pipeline_trail
-- Who did what, and what followed? One chain per event, job or request
--
-- What people and keys did stands in the audit log; what the pipeline did follows from events, jobs, leases, the
-- ledger and observations, and is written nowhere twice. Ask by event_id or job_id: nothing else has an index everywhere, and a view
-- cannot know what it is asked. By request, action and time: `outboxd audit`, GET /v1/audit.

create or replace view outbox.audit_trail as
select a.at, a.action, a.resource_type, a.resource_id, a.team_id, a.project_id, a.actor, a.key_id, a.request_id,
  case when a.resource_type = 'agent_event' then a.resource_id::uuid end as event_id,
  case when a.resource_type in ('job', 'observation_generation_job') then a.resource_id::uuid end as job_id, a.details
from outbox.audit_log a
union all
select t.at, t.action, t.resource_type, t.resource_id, t.team_id, t.project_id, t.actor, t.key_id, t.request_id,
  t.event_id, t.job_id, t.details
from outbox.pipeline_trail t;
