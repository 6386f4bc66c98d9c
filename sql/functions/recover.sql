-- outbox.recover(caller, endpoint, since, until, only, types, rate, dry_run) -> job_id, or what a dry run counts
--
-- A durable job that delivers once more what the endpoint was owed in that time of the feed: `undelivered` (neither
-- completed nor live) or `all` (not live), `rate` a second. One at a time for an endpoint: OX409, as for a disabled
-- one. A dry run: matched (at most 10,000), exact, oldest, newest. Wrong arguments, or a time that the feed no longer
-- holds: OX400; foreign or unknown: OX404.

drop function if exists outbox.recover;
create function outbox.recover(
  p_caller outbox.caller, p_endpoint uuid, p_since timestamptz, p_until timestamptz default null,
  p_only text default 'undelivered', p_types text[] default null, p_rate numeric default 10,
  p_dry_run boolean default false
) returns table (job_id uuid, matched int, exact boolean, oldest timestamptz, newest timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_endpoint outbox.endpoints;
  v_range int8range;
  v_job uuid;
begin
  perform outbox.need_read_committed();
  v_endpoint := outbox.lock_endpoint(v_caller, p_endpoint, not p_dry_run);
  perform outbox.check_recovery(v_endpoint, p_since, coalesce(p_until, outbox.clock()), p_only, p_types, p_rate);
  v_range := int8range(outbox.feed_before(v_endpoint.project_id, p_since),
    outbox.feed_before(v_endpoint.project_id, coalesce(p_until, 'infinity')), '[]');
  if p_dry_run then
    return query select null::uuid, c.* from outbox.count_owed(v_endpoint, v_range, p_only, p_types) c;
    return;
  end if;
  select e.job_id into v_job from outbox.enqueue(v_caller, 'recover', jsonb_build_object('endpointId', p_endpoint,
    'after', lower(v_range), 'upto', upper(v_range) - 1, 'only', p_only, 'types', p_types, 'rate', p_rate),
    v_endpoint.project_id) e;
  update outbox.endpoints e set recovery_job = v_job where e.id = p_endpoint;
  perform outbox.audit(v_caller, 'endpoint.recovered', 'endpoint', p_endpoint::text, v_endpoint.team_id,
    v_endpoint.project_id, jsonb_build_object('jobId', v_job, 'since', p_since, 'until', p_until, 'only', p_only,
      'types', p_types, 'ratePerSecond', p_rate));
  return query select v_job, null::int, null::boolean, null::timestamptz, null::timestamptz;
end
$$;
