-- outbox.relaxed_query(lexemes, needed) -> a condition that all rows with so many of them meet
--
-- Exact up to three needed; who wants more counts besides. By the pigeonhole principle: of needed - 1 hands, one has
-- two that match; of two hands put together, three. Up to 32 lexemes hands are joined like that, for a row that is
-- let through costs more than a longer condition. Lexemes that come rarest first are dealt so that no hand has two
-- of the most common, and an index need not walk through these.

drop function if exists outbox.relaxed_query;
create function outbox.relaxed_query(p_lexemes text[], p_needed int) returns tsquery
language plpgsql immutable parallel safe
as $$
declare
  v_hands int := greatest(p_needed - 1, 1);
  v_joined int := case when p_needed > 2 and cardinality(p_lexemes) <= 32 then 2 else 1 end;
  v_terms text[];
  v_ways text[] := '{}';
begin
  for i in 0 - v_hands % v_joined .. v_hands - 1 by v_joined loop
    v_terms := array(
      select outbox.term_query(l.lexeme) from unnest(p_lexemes) with ordinality l (lexeme, at)
      where (l.at - 1) % v_hands between i and i + v_joined - 1 order by l.at);
    v_ways := v_ways || outbox.some_of(v_terms,
      case when p_needed < 3 then p_needed when i < 0 then 2 else 1 + v_joined end);
  end loop;
  return array_to_string(v_ways, ' | ')::tsquery;
end
$$;
