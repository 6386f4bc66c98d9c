-- outbox.path_words(paths) -> what a path may be asked by: itself, its parts, and their words
--
-- `src/LoginForm.ts` is also found by LoginForm, login and form.

create or replace function outbox.path_words(p_paths text[]) returns text
language sql immutable parallel safe
as $$
  select string_agg(concat_ws(' ', p.path, replace(p.path, '/', ' '), translate(p.path, '/\._-', '     '),
    regexp_replace(translate(p.path, '/\._-', '     '), '([[:lower:][:digit:]])([[:upper:]])', '\1 \2', 'g')), ' ')
  from unnest(p_paths) p (path)
$$;
