-- outbox.rarest_first(lexemes) -> the same, those first that few observations of all projects have
--
-- By the statistics of the table, so it is a guess, and what depends on it is how long a search takes, never what
-- it finds. What they do not list is rare.

drop function if exists outbox.rarest_first;
create function outbox.rarest_first(p_lexemes text[]) returns text[]
language plpgsql stable
as $$
begin
  return array(
    select l.lexeme from unnest(p_lexemes) with ordinality l (lexeme, at)
    left join (
      select c.lexeme, c.share
      from pg_stats s
      cross join unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) c (lexeme, share)
      where s.schemaname = 'outbox' and s.tablename = 'observations' and s.attname = 'search'
        and c.lexeme = any (p_lexemes)) c on c.lexeme = l.lexeme
    order by coalesce(c.share, 0), l.at);
end
$$;
