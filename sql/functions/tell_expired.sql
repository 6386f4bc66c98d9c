-- outbox.tell_expired(rows): one event for each that nobody answered in time

create or replace function outbox.tell_expired(p_rows outbox.interactions[]) returns void
language plpgsql
as $$
declare
  v_outboxd outbox.caller := row(null, null, true, null, 'outboxd', null)::outbox.caller;
  v_now timestamptz := outbox.clock();
  v_row outbox.interactions;
  v_event outbox.incoming;
  v_events outbox.incoming[] := '{}';
begin
  foreach v_row in array p_rows loop
    continue when exists (select from outbox.projects p where p.id = v_row.project_id and p.archived_at is not null);
    v_event := outbox.interaction_event(v_outboxd, v_row, 'interaction.expired', outbox.interaction_told(v_row),
      outbox.uuid7(v_now + make_interval(secs => cardinality(v_events) * 1e-6)));
    v_event.ord := cardinality(v_events);
    v_event.unit := v_event.ord;
    v_events := v_events || v_event;
  end loop;
  if cardinality(v_events) > 0 then
    perform outbox.tell_interactions(v_events);
  end if;
end
$$;
