-- outbox.import_events(whose, rows) -> how many were not there; `event_key` of a row: the key that finds it again
--
-- Keys are remembered as long as those of events that come in now.

create or replace function outbox.import_events(p_whose jsonb, p_rows jsonb) returns int
language plpgsql
as $$
declare
  v_days interval := make_interval(days => outbox.setting('event_key_days', '30')::int);
  v_taken int;
begin
  insert into outbox.events
  select n.* from jsonb_array_elements(p_rows) r cross join lateral jsonb_populate_record(null::outbox.events,
    '{"hops": 0, "private_removed": 0, "metadata": {}, "payload": {}}' || r || p_whose) n
  on conflict do nothing;
  get diagnostics v_taken = row_count;
  insert into outbox.event_keys (project_id, key, event_id, fingerprint, expires_at)
  select (p_whose ->> 'project_id')::uuid, r ->> 'event_key', e.id, outbox.fingerprint(e.type, e.subject, e.payload),
    e.received_at + v_days
  from jsonb_array_elements(p_rows) r
  cross join lateral (select * from outbox.events e where e.id = (r ->> 'id')::uuid offset 0) e
  where r ->> 'event_key' is not null and e.received_at + v_days > outbox.clock()
  order by r ->> 'event_key' collate "C"
  on conflict do nothing;
  return v_taken;
end
$$;
