-- outbox.search_query(query) -> what it asks of `observations.search`, by web-search syntax; empty: of nothing
--
-- Stemmed; of nothing but stop words, as they stand. Never an error: operators that the parser cannot pile up are
-- taken for punctuation.

drop function if exists outbox.search_query;
create function outbox.search_query(p_query text) returns tsquery
language plpgsql stable
set client_min_messages = warning
as $$
declare
  v_text text := outbox.search_text(p_query);
  v_query tsquery;
begin
  begin
    v_query := websearch_to_tsquery(outbox.search_language(), v_text);
    if numnode(v_query) = 0 then
      v_query := websearch_to_tsquery('simple', v_text);
    end if;
  exception
    when internal_error or program_limit_exceeded or syntax_error then
      v_query := plainto_tsquery(outbox.search_language(), v_text);
  end;
  -- A single character begins a pair, or ends a run.
  if v_query::text ~ ('''' || outbox.cjk() || '''') then
    v_query := regexp_replace(v_query::text, '''(' || outbox.cjk() || ')''', '''\1'':*', 'g')::tsquery;
  end if;
  return v_query;
end
$$;
