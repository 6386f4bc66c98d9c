-- expand
--
-- The console: who is signed in, so that any pod serves them and revoking a key ends it.

create table outbox.console_sessions (
  -- SHA-256 of what the cookie holds.
  hash bytea primary key check (octet_length(hash) = 32),
  key_id uuid not null,
  -- What forms of this session show.
  csrf bytea not null check (octet_length(csrf) = 32),
  opened_at timestamptz not null,
  -- Moves on with use, never beyond what `opened_at` allows.
  expires_at timestamptz not null
);
create index console_sessions_expiry on outbox.console_sessions (expires_at);
create index console_sessions_key on outbox.console_sessions (key_id, opened_at);
