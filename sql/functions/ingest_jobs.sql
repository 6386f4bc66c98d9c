-- outbox.ingest_jobs(rows, policies, sessions) -> (ord, keyed job ids or null, jobs as JSON) for every row that makes a job
--
-- One job per event and queue: what the routes decide, a delivery for each endpoint that wants the event, and
-- one of generation where its policy says per-event. policies, sessions: of each row, in the order of `ord`.
-- Due jobs go to `ready`, others to `later`; a keyed job gets its body only, its place comes from `place` once
-- the event is numbered. The set is frozen here.

drop function if exists outbox.ingest_jobs;
create function outbox.ingest_jobs(
  p_rows outbox.incoming[], p_policies text[], p_sessions uuid[], p_now timestamptz
)
returns table (ord int, keyed uuid[], jobs jsonb)
language plpgsql
as $$
begin
  return query
  with wanted as materialized (
    select r.ord, r.id as event_id, p.team_id, p.id as project_id, p.number as lane, w.*,
      outbox.uuid7(p_now + make_interval(secs => row_number() over (order by r.ord, w.queue_id) * 1e-6)) as id,
      greatest(r.run_at, p_now) + coalesce(w.delay, '0') as run_at, r.expires_at,
      coalesce(w.route_priority, r.priority, 0) as priority, r.watched,
      case when w.ordered = 'endpoint' then '*' when w.ordered = 'key' then r.ordering_key end as ordering_key
    from unnest(p_rows) r
    join outbox.projects p on p.id = r.project_id
    cross join lateral (
      select t.queue_id, t.delay, t.priority as route_priority, t.max_attempts, t.timeout,
        null::interval as max_age, case when t.ordered then 'key' else 'none' end as ordered, null::uuid as session_id
      from outbox.ingest_routes(p.id, p.team_id, r.type, r.payload) t
      where t.enabled
      union all
      select e.queue_id, nullif(e.first_delay * (0.8 + 0.4 * random()), '0'), null, null, e.timeout, e.max_age, e.ordering, null
      from outbox.endpoints e
      where e.project_id = p.id and e.state <> 'disabled' and outbox.wants(e, r.type, r.payload, r.adapter)
      union all
      select q.id, null, null, outbox.setting('generation_attempts', '8')::int, null, null, 'key',
        p_sessions[r.ord + 1]
      from outbox.queues q where p_policies[r.ord + 1] = 'per-event' and q.name = 'observe'
    ) w
  ), dated as materialized (
    select w.*, case when w.max_age is not null then w.run_at + w.max_age
      when w.run_at > p_now then w.run_at + outbox.hold() end as deadline
    from wanted w
  ), made as (
    insert into outbox.jobs (id, team_id, project_id, event_id, queue_id, priority, max_attempts, watched,
      run_at, deadline, expires_at, timeout, ordering_key, session_id)
    select d.id, d.team_id, d.project_id, d.event_id, d.queue_id, d.priority, d.max_attempts,
      coalesce(d.watched, false), nullif(d.run_at, p_now), d.deadline, d.expires_at, d.timeout, d.ordering_key,
      d.session_id
    from dated d
  ), due as (
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select d.queue_id, d.lane, -d.priority, d.run_at, d.id, 0, 0, 0
    from dated d where d.ordering_key is null and d.run_at <= p_now
  ), waiting as (
    insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select d.queue_id, d.lane, -d.priority, d.run_at, d.id, 0, 0, 0
    from dated d where d.ordering_key is null and d.run_at > p_now
  ), ending as (
    insert into outbox.expiries (at, job_id)
    select least(d.expires_at, d.deadline), d.id
    from dated d where d.expires_at is not null or d.deadline is not null
  )
  select d.ord, array_agg(d.id order by d.id) filter (where d.ordering_key is not null), jsonb_agg(jsonb_build_object(
    'id', d.id, 'queue', q.name, 'handler', q.handler, 'due', d.run_at <= p_now) order by d.id)
  from dated d join outbox.queues q on q.id = d.queue_id
  group by d.ord;
end
$$;
