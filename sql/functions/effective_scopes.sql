-- outbox.effective_scopes(scopes) -> every scope those open, implications followed (http-api.md §1.4)
--
-- A name that is not in the table grants nothing.

create or replace function outbox.effective_scopes(p_scopes text[]) returns text[]
language sql immutable parallel safe
as $$
  with recursive implied(scope, opens) as (values
    ('events:write', '{}'::text[]), ('events:read', '{}'), ('sessions:write', '{}'),
    ('memories:write', '{events:write,sessions:write,jobs:write,keys:write}'),
    ('memories:read', '{events:read,jobs:read,streams:read,observations:read}'),
    ('observations:read', '{memories:read}'),
    ('jobs:read', '{}'), ('jobs:write', '{}'), ('streams:read', '{}'),
    ('interactions:write', '{}'), ('interactions:read', '{}'),
    ('endpoints:write', '{endpoints:read}'), ('endpoints:read', '{}'),
    ('queues:work', '{}'), ('keys:write', '{}'), ('audit:read', '{}'),
    ('admin', '{memories:write,memories:read,interactions:write,interactions:read,endpoints:write,queues:work,audit:read}'),
    ('memories:admin', '{admin}'), ('*', '{admin}')
  ), reached(scope) as (
    select unnest(p_scopes)
    union
    select unnest(i.opens) from reached r join implied i on i.scope = r.scope
  )
  select coalesce(array_agg(r.scope order by r.scope), '{}')
  from reached r join implied i on i.scope = r.scope
$$;
