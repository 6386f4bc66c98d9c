-- outbox.tell_interactions(events): publishes them in this transaction and wakes whoever sleeps; each is its own unit
--
-- Without its event nothing happens to a question: what is refused is raised.

create or replace function outbox.tell_interactions(p_events outbox.incoming[]) returns void
language plpgsql
as $$
declare
  v_seen record;
  v_handlers text[] := '{""}';
begin
  for v_seen in select i.* from outbox.ingest(p_events) i loop
    if v_seen.status >= 400 then
      perform outbox.refuse(v_seen.status, v_seen.error, v_seen.code);
    end if;
    v_handlers := v_handlers || array(select j ->> 'handler' from jsonb_array_elements(v_seen.jobs) j);
  end loop;
  perform outbox.wake_gated(v_handlers);
end
$$;
