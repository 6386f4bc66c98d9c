-- outbox.asked_by(request, actor, key, filter) -> is that who the filter of a trail names, where it names anybody?

create or replace function outbox.asked_by(p_request text, p_actor text, p_key uuid, p_filter jsonb) returns boolean
language sql immutable parallel safe
as $$
  select coalesce(p_request = p_filter ->> 'requestId', not p_filter ? 'requestId')
    and coalesce(p_actor = p_filter ->> 'actorId', not p_filter ? 'actorId')
    and coalesce(p_key::text = p_filter ->> 'apiKeyId', not p_filter ? 'apiKeyId')
$$;
