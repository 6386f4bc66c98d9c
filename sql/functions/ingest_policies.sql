-- outbox.ingest_policies(rows) -> how each row is generated from, in their order; null: none of them is
--
-- per-event: a job with the event; debounce, end-of-session: `place` gathers it. Null for a row that wants none,
-- that its project filters out, or that a route to the queue `observe` decides about.

create or replace function outbox.ingest_policies(p_rows outbox.incoming[]) returns text[]
language plpgsql
as $$
declare
  v_projects uuid[];
begin
  -- `project_setting` written out, since every commit asks.
  v_projects := array(
    select p.id
    from (select distinct r.project_id from unnest(p_rows) r where r.generate is not false) d
    cross join lateral (select p.id, p.settings from outbox.projects p where p.id = d.project_id offset 0) p
    where coalesce(p.settings #>> '{generation,policy}',
      (select s.value from outbox.settings s where s.name = 'generation'), 'off') <> 'off');
  if cardinality(v_projects) = 0 then
    return null;
  end if;
  return (
    with policies as materialized (
      select p.id, p.team_id, q.id as queue_id, outbox.project_setting(p, 'generation.policy') #>> '{}' as policy,
        outbox.like_of(outbox.project_setting(p, 'generation.skipEventTypes')) as types,
        outbox.like_of(outbox.project_setting(p, 'generation.skipTools')) as tools
      from unnest(v_projects) u(id)
      cross join lateral (select p.* from outbox.projects p where p.id = u.id offset 0) p
      join outbox.queues q on q.name = 'observe'
    )
    select array_agg(case when not exists (
        select from outbox.ingest_routes(g.id, g.team_id, r.type, r.payload) t where t.queue_id = g.queue_id)
      then g.policy end order by r.ord)
    from unnest(p_rows) r
    left join policies g on g.id = r.project_id and r.generate is not false
      and (r.type like any (g.types)) is not true and (r.payload ->> 'tool_name' like any (g.tools)) is not true);
end
$$;
