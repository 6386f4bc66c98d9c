-- outbox.search_text(query) -> the query with runs of Chinese, Japanese and Korean as phrases of pairs
--
-- What stands between quotes is a phrase already.

create or replace function outbox.search_text(p_query text) returns text
language sql immutable parallel safe
as $$
  select string_agg(outbox.bigrams(case when p.at % 2 = 1
      then regexp_replace(p.part, '(' || outbox.cjk() || '+)', '"\1"', 'g') else p.part end, true), '"' order by p.at)
  from string_to_table(p_query, '"') with ordinality p (part, at)
$$;
