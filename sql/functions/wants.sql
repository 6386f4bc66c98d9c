-- after: candidates
-- outbox.wants(endpoint, type, payload, adapter) -> is an event like that for that endpoint, its state aside?
--
-- What we say of an endpoint is never sent to it. Language sql, so that it is inlined.

create or replace function outbox.wants(p_endpoint outbox.endpoints, p_type text, p_payload jsonb, p_adapter text)
returns boolean
language sql stable
as $$
  select (p_endpoint).types && outbox.candidates(p_type)
    and ((p_endpoint).contains is null or p_payload @> (p_endpoint).contains)
    and ((p_endpoint).excludes is null or not p_payload @> (p_endpoint).excludes)
    and (p_adapter <> 'outboxd' or coalesce(p_payload ->> 'endpointId' <> (p_endpoint).id::text, true))
$$;
