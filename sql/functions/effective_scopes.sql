-- after: scope_openers
-- outbox.effective_scopes(scopes) -> every scope those open, sorted; an unknown name grants nothing

create or replace function outbox.effective_scopes(p_scopes text[]) returns text[]
language sql immutable parallel safe
as $$
  select array(
    select s from unnest('{admin,audit:read,endpoints:read,endpoints:write,events:read,events:write,'
      'interactions:read,interactions:write,jobs:read,jobs:write,keys:write,memories:read,memories:write,'
      'observations:read,queues:work,sessions:write,streams:read}'::text[]) s
    where p_scopes && outbox.scope_openers(s))
$$;
