-- outbox.blank_events(events, unlink, now) -> how many were blanked: their content, and what was said of them
--
-- The row stays, with its place in the feed and its key, so that who sends it again gets the shell. `unlink`: its
-- session goes too.

drop function if exists outbox.blank_events;
create function outbox.blank_events(p_events uuid[], p_unlink boolean, p_now timestamptz) returns int
language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  v_blanked int;
begin
  update outbox.events e set payload = '{}', metadata = '{}', subject = null, ordering_key = null, source = null,
    source_event_id = null, content_session_id = null, encoding = null, content_type = null, attributes = null,
    tracestate = null, expunged_at = p_now, session_id = case when p_unlink then null else e.session_id end
  from unnest(p_events) u (id)
  where e.id = u.id and e.expunged_at is null;
  get diagnostics v_blanked = row_count;
  return v_blanked;
end
$$;
