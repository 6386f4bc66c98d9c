-- outbox.publish_caused(worker, lease, job, events) -> (event_id, project_id, jobs): what a handler publishes
--
-- events: a JSON array of 1 to 100 in the shape of the HTTP event, all or none, in the job's own project. Called
-- in the transaction that settles the job, after `fence`: the events exist exactly if the job's end does. Request,
-- trace and actor of the job travel on, its key while it may still write events; hops is the event's plus one.
-- OX409: the lease is over; OX400, OX403, OX413: the first refusal, with its ordinal.

drop function if exists outbox.publish_caused;
create function outbox.publish_caused(p_worker uuid, p_lease uuid, p_job uuid, p_events jsonb)
returns table (event_id uuid, project_id uuid, jobs jsonb)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := outbox.clock();
  v_cause jsonb;
  v_project uuid;
  v_rows outbox.incoming[] := '{}';
  v_row outbox.incoming;
  v_seen record;
begin
  if jsonb_typeof(p_events) is distinct from 'array' or jsonb_array_length(p_events) not between 1 and 100 then
    perform outbox.refuse(400, 'publish: 1 to 100 events');
  end if;
  if not outbox.fence(p_worker, p_lease, p_job) then
    perform outbox.refuse(409, 'the lease is over', 'LeaseLost');
  end if;
  v_cause := outbox.cause_of(p_job, v_now);
  v_project := v_cause ->> 'project_id';
  for v_at in 0 .. jsonb_array_length(p_events) - 1 loop
    v_row := outbox.incoming_of(p_events -> v_at, v_project, v_at);
    if v_row.project_id <> v_project then
      perform outbox.refuse(403, format('event %s: a job publishes in its own project', v_at));
    end if;
    v_row := jsonb_populate_record(v_row, v_cause || jsonb_build_object('ord', v_at, 'unit', 0, 'adapter', 'handler',
      'id', outbox.uuid7(v_now + make_interval(secs => v_at * 1e-6)),
      'payload', coalesce(nullif(v_row.payload, 'null'), '{}'), 'metadata', coalesce(v_row.metadata, '{}')));
    perform outbox.check_incoming(v_row, v_now, format('event %s: ', v_at));
    v_row.event_key := coalesce(v_row.event_key, outbox.native_key(v_row));
    v_rows := v_rows || v_row;
  end loop;
  for v_seen in select i.* from outbox.ingest(v_rows) i loop
    if v_seen.status >= 400 then
      perform outbox.refuse(v_seen.status, format('event %s: %s', v_seen.ord, v_seen.error), v_seen.code);
    end if;
    return query select v_seen.event_id, v_project, v_seen.jobs;
  end loop;
end
$$;
