-- outbox.search(caller, project, query, filter, limit, at, after) -> id, score, relaxed, updated_at, best first
--
-- One row more than `limit` says that there are more. Filter: that of `observation_fits`, and minScore. Where all the words find fewer than `limit`, and the query has
-- no operators, those with a third of them follow, at half their score. `at` is the time of the first page;
-- `after` the last row of the page before: {score, updatedAt, id, relaxed}.

drop function if exists outbox.search;
create function outbox.search(
  p_caller outbox.caller, p_project uuid, p_query text, p_filter jsonb default '{}', p_limit int default 20,
  p_at timestamptz default null, p_after jsonb default null
) returns table (id uuid, score double precision, relaxed boolean, updated_at timestamptz)
language plpgsql stable
as $$
declare
  v_project outbox.projects := outbox.find_project(p_caller, p_project);
  v_words tsquery := outbox.search_query(p_query);
  v_at timestamptz := coalesce(p_at, outbox.clock());
  v_relaxing boolean := coalesce((p_after ->> 'relaxed')::boolean, false);
  v_found int := 0;
begin
  if numnode(v_words) = 0 then
    return;
  end if;
  if not v_relaxing then
    return query select m.id, m.score, false, m.updated_at
      from outbox.search_matches(v_project, v_words, v_words, null, 0, p_filter, v_at, p_limit + 1, p_after) m;
    get diagnostics v_found = row_count;
  end if;
  if v_relaxing or (p_after is null and v_found < p_limit and not outbox.has_operators(p_query)) then
    return query select m.id, m.score, true, m.updated_at
      from outbox.relaxed_matches(v_project, p_query, v_words, p_filter, v_at, p_limit + 1 - v_found,
        case when v_relaxing then p_after end) m;
  end if;
end
$$;
