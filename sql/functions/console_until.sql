-- outbox.console_until(opened, used) -> when a session of the console ends: an hour unused, eight at most

create or replace function outbox.console_until(p_opened timestamptz, p_used timestamptz) returns timestamptz
language sql immutable
as $$
  select least(p_opened + interval '8 hours', p_used + interval '1 hour')
$$;
