-- outbox.trail_fits(entry, filter) -> is it one of those? `action` may be a prefix: 'api_key.*'

create or replace function outbox.trail_fits(p_entry outbox.trail, p_filter jsonb) returns boolean
language sql immutable
as $$
  select outbox.action_fits((p_entry).action, p_filter ->> 'action')
    and coalesce((p_entry).resource_type = p_filter ->> 'resourceType', not p_filter ? 'resourceType')
    and coalesce((p_entry).resource_id = p_filter ->> 'resourceId', not p_filter ? 'resourceId')
    and coalesce((p_entry).actor = p_filter ->> 'actorId', not p_filter ? 'actorId')
    and coalesce((p_entry).key_id::text = p_filter ->> 'apiKeyId', not p_filter ? 'apiKeyId')
    and coalesce((p_entry).request_id = p_filter ->> 'requestId', not p_filter ? 'requestId')
    and coalesce((p_entry).project_id::text = p_filter ->> 'projectId', not p_filter ? 'projectId')
$$;
