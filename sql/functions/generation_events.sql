-- after: key_revoked
-- outbox.generation_events(job, purged_at, whoever) -> what is left of the events of a job of generation, in one row
--
-- foreign_rows, foreign_ids: of another team or project; events: not expunged and not purged; allowed: those whose key was not
-- revoked since. seen: the allowed ones, in feed order; `whoever`: somebody else's authority covers all of them.
-- revoked, revoked_keys: how many are left out for their keys, and those keys.

drop function if exists outbox.generation_events;
create function outbox.generation_events(p_job outbox.jobs, p_purged_at timestamptz, p_whoever boolean)
returns table (foreign_rows int, foreign_ids jsonb, events int, allowed int, revoked int, revoked_keys uuid[], key_id uuid,
  session_id uuid, platform text, seen jsonb)
language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  with wanted as materialized (
    select m.event_id as id, m.seq from outbox.members m where m.job_id = p_job.id
    union all
    select p_job.event_id, 0
    where p_job.event_id is not null and not exists (select from outbox.members m where m.job_id = p_job.id)
  ), found as materialized (
    select w.seq, e.*, e.team_id <> p_job.team_id or e.project_id <> p_job.project_id as elsewhere,
      e.expunged_at is null and e.received_at > coalesce(p_purged_at, '-infinity') as lives,
      p_whoever or e.key_id is null or not outbox.key_revoked(e.key_id) as allowed
    from wanted w
    cross join lateral (select e.* from outbox.events e where e.id = w.id offset 0) e
  )
  select count(*) filter (where f.elsewhere)::int,
    jsonb_agg(distinct jsonb_build_object('teamId', f.team_id, 'projectId', f.project_id)) filter (where f.elsewhere),
    count(*) filter (where f.lives and not f.elsewhere)::int,
    count(*) filter (where f.lives and f.allowed and not f.elsewhere)::int,
    count(*) filter (where f.lives and not f.allowed and not f.elsewhere)::int,
    array_agg(distinct f.key_id) filter (where f.lives and not f.allowed and not f.elsewhere),
    (array_agg(f.key_id order by f.seq, f.id))[1], (array_agg(f.session_id order by f.seq, f.id))[1],
    (array_agg(f.platform_source order by f.seq, f.id))[1],
    jsonb_agg(jsonb_build_object('id', f.id, 'type', f.type, 'source', f.adapter, 'occurred_at', f.occurred_at,
      'private_removed', f.private_removed, 'payload', case when pg_column_size(f.payload) > 262144
        and octet_length(f.payload::text) > 262144 then to_jsonb(left(f.payload::text, 65536)) else f.payload end)
      order by f.seq, f.id) filter (where f.lives and f.allowed and not f.elsewhere)
  from found f;
end
$$;
