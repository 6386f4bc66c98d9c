-- outbox.platform_of(text) -> the one name of a platform that has many; null: none was named

create or replace function outbox.platform_of(p_name text) returns text
language sql immutable parallel safe
as $$
  select case
    when n = 'transcript' or n like '%codex%' then 'codex'
    when n like '%cursor%' then 'cursor'
    when n like '%claude%' or n = '' then 'claude'
    else n end
  from (select regexp_replace(lower(regexp_replace(p_name, '^\s+|\s+$', '', 'g')), '\s+', '-', 'g') as n) t
$$;
