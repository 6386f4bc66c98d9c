-- outbox.purge(caller, filter, limit, dry_run, reason) -> bulk: dead letters are let go
--
-- Filter as cancel_many, status of failed only. The body stays readable and the state failed; it cannot be
-- retried any more. A lane that one of them blocked goes on. One audit row.

drop function if exists outbox.purge;
create function outbox.purge(
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
  v_states := outbox.bulk_states(p_filter, '{failed}', '{failed}');
  select array_agg(p.job_id), max(p.matched) into v_jobs, v_matched
  from outbox.pick_jobs(v_caller, p_filter, v_states, p_limit) p;
  if not p_dry_run then
    v_taken := outbox.take_jobs(v_jobs, v_states);
    perform outbox.end_jobs(v_caller, v_taken, 'purged', p_reason, outbox.clock());
  end if;
  v_done := outbox.bulk_done(p_dry_run, v_matched, v_jobs, cardinality(v_taken));
  perform outbox.audit_bulk(v_caller, 'jobs.bulk_purged', p_filter, v_done, jsonb_build_object('reason', p_reason));
  return v_done;
end
$$;
