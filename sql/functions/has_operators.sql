-- outbox.has_operators(query) -> does it say how words belong together: quotes, OR, or a minus before a word?
--
-- A lower-case `or` is one to the parser, but people also write it in sentences.

create or replace function outbox.has_operators(p_query text) returns boolean
language sql immutable parallel safe
as $$
  select p_query ~ '"' or p_query ~ '(^|\s)OR(\s|$)' or p_query ~ '(^|\s)-\S'
$$;
