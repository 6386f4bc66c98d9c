-- outbox.import_sessions(whose, rows) -> how many were not there; `import_rows` says what becomes of them
--
-- `events`, `newest` of a row: how many events it has, and the newest. Without `identity` it is made from the rest.
-- Where another one is known by that already, it is found by its id only.

create or replace function outbox.import_sessions(p_whose jsonb, p_rows jsonb) returns int
language plpgsql
as $$
declare
  v_now timestamptz := outbox.clock();
  v_row jsonb;
  v_new outbox.sessions;
  v_taken int := 0;
begin
  for v_row in select * from jsonb_array_elements(p_rows) loop
    v_new := jsonb_populate_record(null::outbox.sessions,
      jsonb_build_object('end_count', 0, 'metadata', '{}'::jsonb, 'updated_at', v_now) || v_row || p_whose
        || jsonb_build_object('ended_at', coalesce(nullif(v_row -> 'ended_at', 'null'), to_jsonb(v_now)),
          'ended_events', coalesce(nullif(v_row -> 'events', 'null'), '0'), 'ended_event', v_row -> 'newest'));
    if not v_row ? 'identity' then
      v_new.platform_source := outbox.platform_of(v_new.platform_source);
      v_new.identity := outbox.session_identity(v_new.platform_source, v_new.external_id, v_new.content_session_id,
        v_new.agent_id, v_new.agent_type);
    end if;
    if v_new.identity is not null and exists (select from outbox.sessions s
        where s.project_id = v_new.project_id and s.identity = v_new.identity and s.id <> v_new.id) then
      v_new.identity := null;
    end if;
    insert into outbox.sessions select v_new.* on conflict do nothing;
    v_taken := v_taken + found::int;
  end loop;
  return v_taken;
end
$$;
