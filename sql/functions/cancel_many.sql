-- outbox.cancel_many(caller, filter, limit, dry_run, reason) -> bulk: what cancel does, to many
--
-- Filter: {ids} or {projectId, status, queue, handler, sourceType, classification, since, until, sessionId};
-- status of queued (default), processing, failed. Oldest first; jobs that somebody holds are skipped, never
-- waited for. One audit row. Empty or unknown filter: OX400.

drop function if exists outbox.cancel_many;
create function outbox.cancel_many(
  p_caller outbox.caller, p_filter jsonb, p_limit int default 1000, p_dry_run boolean default false,
  p_reason text default null
) returns outbox.bulk
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off
as $$
declare
  v_caller outbox.caller := outbox.admit(p_caller);
  v_states text[];
  v_jobs uuid[];
  v_matched int;
  v_taken outbox.settling[] := '{}';
  v_done outbox.bulk;
begin
  perform outbox.need_read_committed();
  perform outbox.need_reason(p_reason);
  v_states := outbox.bulk_states(p_filter, '{queued}', '{queued,processing,failed}');
  select array_agg(p.job_id), max(p.matched) into v_jobs, v_matched
  from outbox.pick_jobs(v_caller, p_filter, v_states, p_limit) p;
  if not p_dry_run then
    v_taken := outbox.take_jobs(v_jobs, v_states);
    perform outbox.end_jobs(v_caller, v_taken, 'cancelled', p_reason, outbox.clock());
  end if;
  v_done := outbox.bulk_done(p_dry_run, v_matched, v_jobs, cardinality(v_taken));
  perform outbox.audit_bulk(v_caller, 'jobs.bulk_cancelled', p_filter, v_done, jsonb_build_object('reason', p_reason));
  return v_done;
end
$$;
