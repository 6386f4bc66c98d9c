-- outbox.search_terms(query, limit) -> its distinct lexemes in their order; stemmed, or else as they stand

drop function if exists outbox.search_terms;
create function outbox.search_terms(p_query text, p_limit int) returns text[]
language plpgsql stable
set client_min_messages = warning
as $$
declare
  v_text text := outbox.bigrams(p_query, true);
  v_words tsvector := to_tsvector(outbox.search_language(), v_text);
begin
  if v_words = '' then
    v_words := to_tsvector('simple', v_text);
  end if;
  return array(select t.lexeme from unnest(v_words) t order by t.positions[1], t.lexeme limit p_limit);
end
$$;
