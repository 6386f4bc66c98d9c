-- outbox.search_language() -> the text search configuration in which observations are stemmed

create or replace function outbox.search_language() returns regconfig
language sql stable
as $$
  select outbox.setting('search_language', 'english')::regconfig
$$;
