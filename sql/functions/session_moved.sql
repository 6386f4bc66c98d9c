-- outbox.session_moved(session, events, newest) -> does it have events that its last end did not know?

create or replace function outbox.session_moved(p_session outbox.sessions, p_events bigint, p_newest uuid) returns boolean
language sql immutable parallel safe
as $$
  select p_events > (p_session).ended_events
    or coalesce(p_newest > (p_session).ended_event, p_newest is not null)
$$;
