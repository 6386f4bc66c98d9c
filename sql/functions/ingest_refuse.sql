-- outbox.ingest_refuse(rows) -> a verdict for every row that may not be stored, null when all may
--
-- Authority and tenancy, read here and not where the request came in: key revoked, expired or without
-- the scope, project of another team, session of another project, archived project. Rows without a key come from SQL, whose role was
-- judged by `publish`. No lock: a key revoked by a transaction that commits later is revoked later.

create or replace function outbox.ingest_refuse(p_rows outbox.incoming[], p_now timestamptz)
returns outbox.verdict[]
language plpgsql
as $$
declare
  v_refused outbox.verdict[];
begin
  with keys as materialized (
    select k.*, k.scopes && outbox.scope_openers('events:write') as may
    from (select distinct r.key_id from unnest(p_rows) r where r.key_id is not null) i
    cross join lateral (select k.* from outbox.keys k where k.id = i.key_id) k
  ), judged as (
    select r.ord, r.unit, case
        when r.key_id is not null and (k.id is null or k.revoked_at is not null or k.expires_at <= p_now)
          then '{403,Forbidden,Invalid API key or insufficient scope}'
        when r.key_id is not null and not k.may
          then '{403,InsufficientScope,Invalid API key or insufficient scope}'
        when r.key_id is not null and k.team_id is null
          then '{403,Forbidden,API key is not bound to a team}'
        when r.key_id is not null and k.project_id is not null and k.project_id <> r.project_id
          then '{403,Forbidden,API key is scoped to a different project}'
        when p.id is null or (r.key_id is not null and p.team_id <> k.team_id)
          then '{403,Forbidden,project_id must belong to team_id}'
        when r.session_id is not null and not exists (select from outbox.sessions s
            where s.id = r.session_id and s.project_id = p.id and s.team_id = p.team_id
              and s.created_at > coalesce(p.purged_at, '-infinity') offset 0)
          then '{403,Forbidden,server_session_id must belong to project_id and team_id}'
        when p.archived_at is not null
          then '{409,ProjectArchived,The project is archived}'
      end::text[] as why
    from unnest(p_rows) r
    left join keys k on k.id = r.key_id
    left join lateral (select p.* from outbox.projects p where p.id = r.project_id) p on true
  )
  select array_agg(row(j.ord, j.unit, j.why[1]::int, null, false, false, j.why[3], j.why[2])::outbox.verdict)
  into v_refused
  from judged j where j.why is not null;
  return v_refused;
end
$$;
