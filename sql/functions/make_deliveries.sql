-- outbox.make_deliveries(endpoint, events, priority, from, rate) -> fresh deliveries of these events, in their order
--
-- The k-th is due (k - 1) / rate seconds after `from`. A keyed one stands at the end of its lane, so it is never before
-- what was published later. The caller holds the endpoint's row; lanes are locked last.

drop function if exists outbox.make_deliveries;
create function outbox.make_deliveries(
  p_endpoint outbox.endpoints, p_events uuid[], p_priority int, p_from timestamptz, p_rate numeric
) returns uuid[]
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_lane bigint := (select p.number from outbox.projects p where p.id = p_endpoint.project_id);
  v_made uuid[];
  v_keyed outbox.placeable[];
begin
  with wanted as materialized (
    select u.n, v.id as event_id, v.expires_at, d.due,
      outbox.uuid7(v_now + make_interval(secs => u.n * 1e-6)) as id,
      case p_endpoint.ordering when 'endpoint' then '*' when 'key' then v.ordering_key end as key
    from unnest(p_events) with ordinality u(id, n)
    cross join lateral (select v.id, v.expires_at, v.ordering_key from outbox.events v where v.id = u.id offset 0) v
    cross join lateral (select greatest(p_from, v_now)
      + make_interval(secs => ((u.n - 1) / p_rate)::float8) as due) d
  ), made as (
    insert into outbox.jobs (id, team_id, project_id, event_id, queue_id, priority, run_at, deadline, expires_at, timeout,
      ordering_key)
    select w.id, p_endpoint.team_id, p_endpoint.project_id, w.event_id, p_endpoint.queue_id, p_priority,
      nullif(w.due, v_now), w.due + p_endpoint.max_age, w.expires_at, p_endpoint.timeout, w.key
    from wanted w
  ), due as (
    insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select p_endpoint.queue_id, v_lane, -p_priority, w.due, w.id, 0, 0, 0
    from wanted w where w.key is null and w.due <= v_now
  ), waiting as (
    insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series)
    select p_endpoint.queue_id, v_lane, -p_priority, w.due, w.id, 0, 0, 0
    from wanted w where w.key is null and w.due > v_now
  ), ending as (
    insert into outbox.expiries (at, job_id)
    select least(w.expires_at, w.due + p_endpoint.max_age), w.id from wanted w
  )
  select array_agg(w.id order by w.n),
    array_agg(row(w.id, p_endpoint.queue_id, w.key, w.due, w.n, 0, 0, 0)::outbox.placeable order by w.n)
      filter (where w.key is not null)
  into v_made, v_keyed
  from wanted w;
  if v_keyed is not null then
    perform outbox.append_to_lanes(p_endpoint.project_id, v_keyed);
  end if;
  perform outbox.wake_queues(array[p_endpoint.queue_id]);
  return coalesce(v_made, '{}');
end
$$;
