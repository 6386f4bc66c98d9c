-- outbox.search_matches(project, words, gate, lexemes, needed, filter, at, limit, after, without)
--   -> id, score, updated_at
--
-- Of the newest rows that meet gate and filter and have so many of the lexemes, best first: of 5,000, or, where
-- there are that many and more, of 2,000, since such words tell little and each row that is ranked costs. The index
-- is asked for the project and the words at once. What was created after `at` is not there yet; `after` is the
-- place {score, updatedAt, id} where the page before ended, and then what changed since `at` is left out, lest it
-- come twice. `without`: what another pass has found already.

drop function if exists outbox.search_matches;
create function outbox.search_matches(
  p_project outbox.projects, p_words tsquery, p_gate tsquery, p_lexemes text[], p_needed int, p_filter jsonb,
  p_at timestamptz, p_limit int, p_after jsonb default null, p_without tsquery default null
) returns table (id uuid, score double precision, updated_at timestamptz)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan set work_mem = '16MB'
as $$
declare
  v_gate tsquery := p_gate && outbox.term_query(outbox.project_lexeme(p_project.number))::tsquery;
  v_since timestamptz := coalesce((p_filter ->> 'since')::timestamptz, '-infinity');
  v_purged timestamptz := coalesce(p_project.purged_at, '-infinity');
  v_all boolean := p_filter - '{since,minScore}'::text[] = '{}';
  v_terms tsquery[] := case when p_needed > 3 then
    array(select outbox.term_query(l.lexeme)::tsquery from unnest(p_lexemes) l (lexeme)) end;
  v_least double precision := coalesce((p_filter ->> 'minScore')::float8, 0);
  v_newest tid[];
begin
  v_newest := array(
    select n.at from (
      select o.ctid as at, o.id, o.project_id, o.session_id, o.kind, o.platform_source, o.created_at, o.updated_at,
        o.metadata, o.search
      from outbox.observations o where o.search @@ v_gate offset 0) n
    where n.project_id = p_project.id and n.created_at <= p_at and n.created_at >= v_since and n.created_at > v_purged
      and (p_after is null or n.updated_at <= p_at)
      and (v_all or outbox.observation_fits(p_filter, n.id, n.session_id, n.kind, n.platform_source, n.created_at,
        n.metadata))
      -- A copy: what stands beside the row is fetched once, not for each term.
      and (v_terms is null or (
        select count(*) >= p_needed from (select ts_filter(n.search, '{a,b,c,d}') as search offset 0) c
        cross join unnest(v_terms) t (term) where c.search @@ t.term))
    order by n.created_at desc, n.id desc limit 5000);
  return query
  select r.id, r.score, r.updated_at
  from (
    select o.id, o.updated_at, least(1, ts_rank_cd(o.search, p_words, 32)
      * (0.7 + 0.3 * power(2::float8, date_part('epoch', least(o.created_at - p_at, interval '0')) / 2592000)))
        as score
    from outbox.observations o
    where o.ctid = any (v_newest[:case when cardinality(v_newest) < 5000 then 5000 else 2000 end])
      and (p_without is null or not o.search @@ p_without)
    offset 0
  ) r
  where r.score >= v_least
    and (p_after is null or (r.score, r.updated_at, r.id)
      < ((p_after ->> 'score')::float8, (p_after ->> 'updatedAt')::timestamptz, (p_after ->> 'id')::uuid))
  order by r.score desc, r.updated_at desc, r.id desc limit p_limit;
end
$$;
