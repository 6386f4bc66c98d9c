-- outbox.schedule_event(row, tick, missed) -> what it publishes at that tick
--
-- One event a tick, by its key, whoever else may have fired it. Of its key only what may write events: who may set up
-- a schedule may have it publish, and what generates asks for the key again.

create or replace function outbox.schedule_event(p_row outbox.schedules, p_tick timestamptz, p_missed int)
returns outbox.incoming
language plpgsql stable
as $$
declare
  v_event outbox.incoming;
begin
  v_event.ord := 0;
  v_event.unit := 0;
  v_event.id := outbox.uuid7(outbox.clock());
  v_event.team_id := p_row.team_id;
  v_event.project_id := p_row.project_id;
  v_event.type := p_row.type;
  v_event.payload := coalesce(nullif(p_row.payload, 'null'), '{}');
  v_event.subject := p_row.subject;
  v_event.ordering_key := p_row.ordering_key;
  v_event.adapter := 'schedule';
  v_event.actor := p_row.actor;
  v_event.key_id := (select k.id from outbox.keys k where k.id = p_row.key_id
    and k.scopes && outbox.scope_openers('events:write'));
  v_event.occurred_at := p_tick;
  v_event.metadata := jsonb_build_object('schedule', jsonb_build_object('id', p_row.id, 'name', p_row.name,
    'tickEpoch', outbox.ms(p_tick), 'missed', p_missed));
  v_event.event_key := format('schedule:%s:%s', p_row.id, outbox.ms(p_tick));
  v_event.strict := false;
  return v_event;
end
$$;
