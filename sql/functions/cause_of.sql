-- outbox.cause_of(job, now) -> what an event takes over from the job that causes it, as fields of `incoming`
--
-- The key only while it may still write events: handlers run what was accepted, also after the key is revoked.

create or replace function outbox.cause_of(p_job uuid, p_now timestamptz) returns jsonb
language sql stable
as $$
  select jsonb_strip_nulls(jsonb_build_object('team_id', j.team_id, 'project_id', j.project_id, 'key_id', k.id,
    'actor', coalesce(j.actor, e.actor), 'request_id', coalesce(j.request_id, e.request_id),
    'traceparent', coalesce(j.traceparent, e.traceparent), 'hops', coalesce(e.hops, 0) + 1))
  from outbox.jobs j
  left join lateral (select e.* from outbox.events e where e.id = j.event_id offset 0) e on true
  left join lateral (select k.id from outbox.keys k where k.id = coalesce(j.key_id, e.key_id)
    and k.revoked_at is null and (k.expires_at is null or k.expires_at > p_now) and k.team_id = j.team_id
    and (k.project_id is null or k.project_id = j.project_id)
    and k.scopes && outbox.scope_openers('events:write')) k on true
  where j.id = p_job
$$;
