-- outbox.announce(project, type, payload): an operational event of the project, in this transaction

create or replace function outbox.announce(p_project uuid, p_type text, p_payload jsonb) returns void
language plpgsql
as $$
declare
  v_row outbox.incoming;
begin
  v_row.ord := 0;
  v_row.unit := 0;
  v_row.id := outbox.uuid7(outbox.clock());
  v_row.project_id := p_project;
  v_row.type := p_type;
  v_row.payload := p_payload;
  v_row.adapter := 'outboxd';
  v_row.actor := 'outboxd';
  -- What we say of our own work is nothing to remember.
  v_row.generate := false;
  perform outbox.ingest(array[v_row]);
end
$$;
