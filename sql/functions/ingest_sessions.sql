-- outbox.ingest_sessions(rows) -> the session of each row, in their order; null: none of them names one
--
-- A session that was named is taken as it is, and judged by `ingest_refuse`. Else the newest session of the
-- project with that content id, of any platform where none was said, and only without one where null was. No
-- match: no link; an event makes no session. No lock: a session that is deleted meanwhile leaves an id behind.

create or replace function outbox.ingest_sessions(p_rows outbox.incoming[]) returns uuid[]
language plpgsql
as $$
begin
  if not exists (select from unnest(p_rows) r where r.session_id is not null or r.content_session_id is not null) then
    return null;
  end if;
  return (
    select array_agg(coalesce(r.session_id, s.id) order by r.ord)
    from unnest(p_rows) r
    left join lateral (
      select s.id from outbox.projects p
      cross join lateral (
        select s.id from outbox.sessions s
        where s.project_id = p.id and s.team_id = p.team_id and s.content_session_id = r.content_session_id
          and (r.platform_given is not true or s.platform_source is not distinct from r.platform_source)
          and s.created_at > coalesce(p.purged_at, '-infinity')
        order by s.created_at desc, s.id desc limit 1) s
      where r.session_id is null and r.content_session_id is not null and p.id = r.project_id
      offset 0) s on true);
end
$$;
