-- outbox.term_query(lexeme) -> text of a tsquery for it

create or replace function outbox.term_query(p_lexeme text) returns text
language sql immutable parallel safe
as $$
  select '''' || replace(replace(p_lexeme, '\', '\\'), '''', '''''') || ''''
    || case when char_length(p_lexeme) = 1 and p_lexeme ~ outbox.cjk() then ':*' else '' end
$$;
