-- outbox.scope_openers(scope) -> the scopes of a key of which any one opens it (http-api.md §1.4)
--
-- `*` also opens scopes that are added later, so a name that is not here is opened by `*` alone.

create or replace function outbox.scope_openers(p_scope text) returns text[]
language sql immutable parallel safe
as $$
  select case p_scope
    when 'events:write' then '{events:write,memories:write,admin,memories:admin,*}'
    when 'events:read' then '{events:read,memories:read,observations:read,admin,memories:admin,*}'
    when 'sessions:write' then '{sessions:write,memories:write,admin,memories:admin,*}'
    when 'memories:write' then '{memories:write,admin,memories:admin,*}'
    when 'memories:read' then '{memories:read,observations:read,admin,memories:admin,*}'
    when 'observations:read' then '{memories:read,observations:read,admin,memories:admin,*}'
    when 'jobs:read' then '{jobs:read,memories:read,observations:read,admin,memories:admin,*}'
    when 'jobs:write' then '{jobs:write,memories:write,admin,memories:admin,*}'
    when 'streams:read' then '{streams:read,memories:read,observations:read,admin,memories:admin,*}'
    when 'interactions:write' then '{interactions:write,admin,memories:admin,*}'
    when 'interactions:read' then '{interactions:read,admin,memories:admin,*}'
    when 'endpoints:write' then '{endpoints:write,admin,memories:admin,*}'
    when 'endpoints:read' then '{endpoints:read,endpoints:write,admin,memories:admin,*}'
    when 'queues:work' then '{queues:work,admin,memories:admin,*}'
    when 'keys:write' then '{keys:write,memories:write,admin,memories:admin,*}'
    when 'audit:read' then '{audit:read,admin,memories:admin,*}'
    when 'admin' then '{admin,memories:admin,*}'
    else '{*}' end::text[]
$$;
