-- outbox.relaxed_matches(project, query, words, filter, at, limit, after) -> id, score, updated_at
--
-- Those with at least a third of the query's first 64 distinct terms that do not meet `words`, at half their score.

drop function if exists outbox.relaxed_matches;
create function outbox.relaxed_matches(
  p_project outbox.projects, p_query text, p_words tsquery, p_filter jsonb, p_at timestamptz, p_limit int,
  p_after jsonb default null
) returns table (id uuid, score double precision, updated_at timestamptz)
language plpgsql stable
as $$
declare
  v_lexemes text[] := outbox.rarest_first(outbox.search_terms(p_query, 64));
  v_needed int := (cardinality(v_lexemes) + 2) / 3;
begin
  if cardinality(v_lexemes) < 2 then
    return;
  end if;
  return query select m.id, m.score / 2, m.updated_at
    from outbox.search_matches(p_project, outbox.relaxed_query(v_lexemes, 1),
      outbox.relaxed_query(v_lexemes, v_needed), v_lexemes, v_needed,
      jsonb_set(p_filter, '{minScore}', to_jsonb(2 * coalesce((p_filter ->> 'minScore')::float8, 0))), p_at, p_limit,
      jsonb_set(p_after, '{score}', to_jsonb(2 * (p_after ->> 'score')::float8)),
      p_words) m;
end
$$;
