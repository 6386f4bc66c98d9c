-- after: candidates
-- outbox.ingest_routes(project, team, type, payload) -> the routes that decide, one a queue
--
-- Of several matching routes to one queue the narrowest decides: project over team over global, exact over
-- longer prefix over `*`, then the older. A disabled route that decides makes no job. Language sql, so that
-- it is inlined into the statement that expands a whole batch.

create or replace function outbox.ingest_routes(p_project uuid, p_team uuid, p_type text, p_payload jsonb)
returns setof outbox.routes
language sql stable
as $$
  select distinct on (t.queue_id) t.*
  from outbox.routes t
  where t.pattern = any (outbox.candidates(p_type))
    and (t.project_id = p_project
      or (t.project_id is null and (t.team_id = p_team or t.team_id is null)))
    and (t.contains is null or p_payload @> t.contains)
  order by t.queue_id, t.project_id is null, t.team_id is null, t.pattern = p_type desc,
    char_length(t.pattern) desc, t.created_at, t.id
$$;
