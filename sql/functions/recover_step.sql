-- outbox.recover_step(job, endpoint, events, step) -> how many deliveries were made
--
-- One step of a recovery, in the transaction that settles it: its deliveries, and how far it is. What got a delivery
-- since it was chosen is left out. step: {only, rate, from, position, scanned, percent}, `from` in seconds since 1970:
-- when the first is due. An endpoint that has another recovery now, is disabled or gone: nothing.

drop function if exists outbox.recover_step;
create function outbox.recover_step(p_job uuid, p_endpoint uuid, p_events uuid[], p_step jsonb) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := outbox.clock();
  v_rate numeric := (p_step ->> 'rate')::numeric;
  v_from timestamptz := greatest(to_timestamp((p_step ->> 'from')::float8), v_now);
  v_before int;
  v_endpoint outbox.endpoints;
  v_events uuid[];
begin
  select * into v_endpoint from outbox.endpoints e
  where e.id = p_endpoint and e.recovery_job = p_job and e.state <> 'disabled' for update;
  if v_endpoint.id is null then
    return 0;
  end if;
  v_events := array(
    select v.id from unnest(p_events) with ordinality u(id, n)
    cross join lateral (select v.id, v.received_at from outbox.events v
      where v.id = u.id and v.project_id = v_endpoint.project_id and v.expunged_at is null offset 0) v
    where not outbox.delivered(v.id, v.received_at, v_endpoint.queue_id, p_step ->> 'only')
    order by u.n);
  if cardinality(v_events) > 0 then
    perform outbox.make_deliveries(v_endpoint, v_events, -10, v_from, v_rate);
  end if;
  v_before := coalesce((select (c.checkpoint ->> 'made')::int from outbox.checkpoints c where c.job_id = p_job), 0);
  insert into outbox.checkpoints as c (job_id, progress, checkpoint, at)
  values (p_job, jsonb_build_object('percent', p_step -> 'percent', 'note', format('%s made of %s looked at',
      v_before + cardinality(v_events), p_step ->> 'scanned')),
    jsonb_build_object('position', p_step -> 'position', 'scanned', p_step -> 'scanned',
      'made', v_before + cardinality(v_events),
      'due', extract(epoch from v_from + make_interval(secs => (cardinality(v_events) / v_rate)::float8))), v_now)
  on conflict (job_id) do update set progress = excluded.progress, checkpoint = excluded.checkpoint, at = v_now;
  return cardinality(v_events);
end
$$;
