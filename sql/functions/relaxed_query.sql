-- outbox.relaxed_query(lexemes, needed) -> a condition that all rows with so many of them meet
--
-- One needed: any of them. More: they are dealt into needed - 1 hands, and by the pigeonhole principle some hand
-- has two that match. Exact for two needed, and small always; who wants more than two counts besides.

drop function if exists outbox.relaxed_query;
create function outbox.relaxed_query(p_lexemes text[], p_needed int) returns tsquery
language sql immutable parallel safe
as $$
  with dealt as (
    select outbox.term_query(l.lexeme) as term, l.at, l.at % greatest(p_needed - 1, 1) as hand
    from unnest(p_lexemes) with ordinality l (lexeme, at)
  )
  select case when p_needed = 1
    then (select string_agg(d.term, ' | ' order by d.at) from dealt d)
    else (select string_agg(a.term || ' & ' || b.term, ' | ' order by a.at, b.at)
      from dealt a join dealt b on b.hand = a.hand and b.at > a.at)
    end::tsquery
$$;
