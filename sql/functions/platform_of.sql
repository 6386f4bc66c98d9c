-- outbox.platform_of(text) -> one name for the many that a platform is called by; null: none was named
--
-- `api/wire.py` says the same in Python, character for character: blanks are those of Unicode, only ASCII is
-- lowered, so that no locale decides.

create or replace function outbox.platform_of(p_name text) returns text
language sql immutable parallel safe
as $$
  select case
      when n.name = 'transcript' or n.name like '%codex%' then 'codex'
      when n.name like '%cursor%' then 'cursor'
      when n.name like '%claude%' or n.name = '' then 'claude'
      else n.name end
  from (select regexp_replace(lower(regexp_replace(p_name,
      '^[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+'
      '|[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+$', '', 'g') collate "C"),
    '[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+', '-', 'g')) n (name)
$$;
