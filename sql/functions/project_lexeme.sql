-- outbox.project_lexeme(number) -> the lexeme that names a project in `observations.search`
--
-- No text has it, for no parser leaves a blank in a word. With it one scan of one index is about one tenant.

create or replace function outbox.project_lexeme(p_number int) returns text
language sql immutable parallel safe
as $$
  select 'p ' || p_number
$$;
