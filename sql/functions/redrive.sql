-- outbox.redrive(caller, filter, limit, rate, dry_run, reason) -> bulk: what retry does, to many, `rate` a second
--
-- Filter as cancel_many; status of failed (default), cancelled, queued. Oldest first; the n-th is due at now + n/rate
-- (0: all at once), in its row, so the throttle survives restarts. What somebody holds, or whose unique key is
-- taken, is skipped. One audit row.

drop function if exists outbox.redrive;
create function outbox.redrive(
  p_caller outbox.caller, p_filter jsonb, p_limit int default 1000, p_rate numeric default 10,
  p_dry_run boolean default false, p_reason text default null
) returns outbox.bulk
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_now timestamptz := outbox.clock();
  v_states text[];
  v_jobs uuid[];
  v_matched int;
  v_back int := 0;
  v_done outbox.bulk;
begin
  perform outbox.need_read_committed();
  perform outbox.need_reason(p_reason);
  if p_rate is null or p_rate not between 0 and 1000 then
    perform outbox.refuse(400, 'p_rate: 0 to 1,000 a second');
  end if;
  v_states := outbox.bulk_states(p_filter, '{failed}', '{failed,cancelled,queued}');
  select array_agg(p.job_id), max(p.matched) into v_jobs, v_matched
  from outbox.pick_jobs(v_caller, p_filter, v_states, p_limit) p;
  if not p_dry_run then
    v_back := outbox.redrive_jobs(v_caller, v_jobs, v_states, p_rate, v_now, p_reason);
  end if;
  v_done := outbox.bulk_done(p_dry_run, v_matched, v_jobs, v_back, v_now, p_rate);
  perform outbox.audit_bulk(v_caller, 'jobs.bulk_retried', p_filter, v_done,
    jsonb_build_object('rate', p_rate, 'reason', p_reason));
  return v_done;
end
$$;
