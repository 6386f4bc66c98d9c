-- outbox.import_sessions(whose, rows) -> how many were not there; `import_rows` says what becomes of them
--
-- `events`, `newest` of a row: how many events it has, and the newest.

create or replace function outbox.import_sessions(p_whose jsonb, p_rows jsonb) returns int
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_taken int;
begin
  insert into outbox.sessions
  select n.* from jsonb_array_elements(p_rows) r cross join lateral jsonb_populate_record(null::outbox.sessions,
    jsonb_build_object('end_count', 0, 'metadata', '{}'::jsonb, 'updated_at', v_now) || r || p_whose
      || jsonb_build_object('ended_at', coalesce(nullif(r -> 'ended_at', 'null'), to_jsonb(v_now)),
        'ended_events', coalesce(nullif(r -> 'events', 'null'), '0'), 'ended_event', r -> 'newest')) n
  on conflict do nothing;
  get diagnostics v_taken = row_count;
  return v_taken;
end
$$;
