-- outbox.import_endpoints(whose, rows) -> how many were not there: disabled, without keys and headers of their own
--
-- `queue` of a row: the settings of its queue.

create or replace function outbox.import_endpoints(p_whose jsonb, p_rows jsonb) returns int
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_row jsonb;
  v_new outbox.endpoints;
  v_taken int := 0;
begin
  for v_row in select * from jsonb_array_elements(p_rows) loop
    continue when exists (select from outbox.endpoints e where e.id = (v_row ->> 'id')::uuid);
    v_new := jsonb_populate_record(null::outbox.endpoints, v_row || p_whose || jsonb_build_object('state', 'disabled',
      'disabled_reason', 'imported', 'disabled_at', v_now, 'headers', null, 'recovery_job', null, 'trips', 0,
      'consecutive_failures', 0, 'first_failure_at', null));
    v_new.queue_id := outbox.open_queue('endpoint:' || v_new.id, 'deliver', v_new.team_id);
    insert into outbox.endpoints select v_new.* on conflict do nothing;
    continue when not found;
    perform outbox.endpoint_queue(v_new.queue_id, coalesce(nullif(v_row -> 'queue', 'null'), '{}'));
    v_taken := v_taken + 1;
  end loop;
  return v_taken;
end
$$;
