-- Roles and rights, applied last and whole each time: functions and views were re-created just before.
--
-- The four roles cannot log in; grant them to logins. None has a right on a table: verbs are `security definer`,
-- views run as their owner. The login that owns the schema is the daemon's and needs none of them. Each statement
-- may be refused for want of rights; the migrator goes on and prints it for an administrator.

do $$
declare
  v_role text;
begin
  foreach v_role in array '{outbox_producer,outbox_worker,outbox_operator,outbox_reader}'::text[] loop
    -- Roles belong to the whole cluster: another database may have made them, or be making them now.
    if not exists (select from pg_roles r where r.rolname = v_role) then
      begin
        execute format('create role %I nologin', v_role);
      exception
        when duplicate_object or unique_violation then null;
      end;
    end if;
  end loop;
end
$$;

revoke all on schema outbox from public;
revoke all on all tables in schema outbox from public;
revoke all on all sequences in schema outbox from public;
revoke all on all routines in schema outbox from public;

grant usage on schema outbox to outbox_producer, outbox_worker, outbox_operator, outbox_reader;
grant execute on function outbox.me to outbox_producer, outbox_worker, outbox_operator, outbox_reader;

-- Producers, in transactions of their own.
grant execute on function outbox.publish, outbox.publish_many to outbox_producer;
grant execute on function outbox.enqueue, outbox.match_routes to outbox_producer, outbox_operator;

-- Producers that write rows as log-based readers want them. Who wrote a row and whether it was refused is not theirs.
grant insert (id, aggregatetype, aggregateid, type, payload, "timestamp", tracingspancontext, project_id)
  on outbox.outboxevent to outbox_producer;

-- Questions that one person answers.
grant execute on function outbox.ask, outbox.answer, outbox.use_suggestion, outbox.withdraw, outbox.expire_interactions
  to outbox_producer;

-- Where a feed stands, for whoever reads state and follows from there.
grant execute on function outbox.position to outbox_producer, outbox_reader, outbox_operator;
grant execute on function outbox.reset_stream to outbox_operator;

-- Workers that pull over SQL.
grant execute on function outbox.enlist, outbox.beat, outbox.poll, outbox.look, outbox.claim, outbox.settle,
  outbox.extend, outbox.release, outbox.report, outbox.payload, outbox.retire
  to outbox_worker;

-- Operators.
grant execute on function outbox.cancel, outbox.retry, outbox.snooze, outbox.redrive, outbox.cancel_many, outbox.purge,
  outbox.unhold, outbox.pause, outbox.resume, outbox.configure_queue, outbox.weigh, outbox.add_route,
  outbox.change_route, outbox.remove_route, outbox.add_handler, outbox.remove_handler, outbox.resume_provider,
  outbox.recover, outbox.revoke_key, outbox.expunge, outbox.disable_schedule, outbox.remove_schedule,
  outbox.run_schedule
  to outbox_operator;

-- Readers; a function that a view calls runs as whoever asks the view.
grant execute on function outbox.why, outbox.timeline, outbox.clock, outbox.uuid7_time, outbox.provider_figures,
  outbox.usage_figures, outbox.queue_figures, outbox.rate_figures, outbox.failure_figures,
  outbox.longest_kept
  to outbox_reader, outbox_operator;
grant select on outbox.queue_depth, outbox.tenant_depth, outbox.open_leases, outbox.stuck_jobs, outbox.held_jobs,
  outbox.dead_jobs, outbox.failure_groups, outbox.throughput, outbox.blocked_lanes, outbox.live_workers,
  outbox.endpoint_health, outbox.provider_health, outbox.usage_by_day, outbox.stream_lag,
  outbox.pending_stalled, outbox.key_use, outbox.audit_trail,
  outbox.pipeline_trail, outbox.late_schedules, outbox.open_interactions, outbox.chore_health,
  outbox.vacuum_pins, outbox.table_health,
  outbox.held_partitions,
  outbox.server_health
  to outbox_reader, outbox_operator;

-- Foreign sessions show in vacuum_pins and pending_stalled only to members of pg_monitor.
grant pg_monitor to outbox_operator;
