-- expand
--
-- Fan-out: who may follow a stream without a header, questions that one person answers once, and what
-- webhooks need beyond one attempt.

-- Streams --------------------------------------------------------------------------------------------

create table outbox.stream_tokens (
  hash bytea primary key check (octet_length(hash) = 32),
  key_id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  types text[],
  session_id uuid,
  subject text,
  expires_at timestamptz not null,
  created_at timestamptz not null,
  foreign key (project_id, team_id) references outbox.projects (id, team_id)
);
create index stream_tokens_expiry on outbox.stream_tokens (expires_at);
create index stream_tokens_key on outbox.stream_tokens (key_id, expires_at);

-- Interactions ---------------------------------------------------------------------------------------

create table outbox.interactions (
  -- A capability: not to be guessed, and never enough by itself.
  id text collate "C" primary key check (id ~ '^[A-Za-z0-9._-]{1,128}\Z'),
  team_id uuid not null,
  project_id uuid not null,
  connection_id text not null check (char_length(connection_id) between 1 and 255),
  -- Who may answer, as that channel names people; '*': anyone there.
  expected_actor text not null check (char_length(expected_actor) between 1 and 255),
  kind text not null check (kind in ('question', 'approval', 'suggestion')),
  state text not null default 'pending' check (state in ('pending', 'answered', 'withdrawn', 'expired')),
  prompt jsonb not null,
  options jsonb,
  context jsonb not null default '{}',
  free_text boolean not null,
  -- SHA-256 of what was asked: a changed question is another one.
  digest bytea not null check (octet_length(digest) = 32),
  session_id uuid,
  request_id text,
  traceparent text,
  asked_by_key uuid,
  asked_by text,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  answered_at timestamptz,
  answered_by text,
  answer jsonb,
  ended_at timestamptz,
  ended_reason text check (char_length(ended_reason) <= 500),
  answer_event_id uuid,
  uses int not null default 0,
  max_uses int check (max_uses between 1 and 100000),
  check ((state = 'pending') = (ended_at is null)),
  check ((kind = 'suggestion') = (max_uses is not null)),
  foreign key (project_id, team_id) references outbox.projects (id, team_id)
) with (fillfactor = 80);
create index interactions_pending on outbox.interactions (project_id, connection_id, created_at)
  where state = 'pending';
create index interactions_expiry on outbox.interactions (expires_at) where state = 'pending';
create index interactions_ended on outbox.interactions (ended_at) where state <> 'pending';
create index interactions_project on outbox.interactions (project_id, created_at, id);

-- Webhooks ---------------------------------------------------------------------------------------------

alter table outbox.endpoints
  add column format text not null default 'standard' check (format in ('standard', 'ce-structured', 'ce-binary')),
  add column signing text not null default 'v1' check (signing in ('v1', 'v1+v1a', 'v1a')),
  add column disable_after interval not null default '120 h' check (disable_after between '0' and '720 h'),
  -- The breaker: failures in a row (written on failure, and on the first success after one), and how often it
  -- opened in this row of failures.
  add column consecutive_failures int not null default 0,
  add column first_failure_at timestamptz,
  add column trips int not null default 0,
  -- The one recovery that is under way.
  add column recovery_job uuid;

-- A table that applications of log-based readers know. Rows are taken out in the order of `n`.
create table outbox.outboxevent (
  n bigint generated always as identity primary key,
  id uuid not null,
  aggregatetype text not null,
  aggregateid text not null,
  type text not null,
  payload jsonb,
  "timestamp" timestamptz,
  tracingspancontext text,
  project_id uuid,
  refused_at timestamptz,
  refused_reason text
);
create index outboxevent_open on outbox.outboxevent (n) where refused_at is null;

-- The first entry of an endpoint's schedule: how long an event waits before its first attempt.
alter table outbox.endpoints add column first_delay interval not null default '0'
  check (first_delay between '0' and '24 h');

-- Deliveries of an endpoint, newest first. They all have a deadline; what routes make has none unless it is put off,
-- so the jobs of others are not in it.
create index jobs_deliveries on outbox.jobs (queue_id, id) where event_id is not null and deadline is not null;

-- Queues of endpoints that were deleted: what waits there is ended in batches.
create table outbox.endpoint_ends (
  queue_id int primary key references outbox.queues,
  endpoint_id uuid not null,
  ended_at timestamptz not null
);

-- A step of a recovery is short, and one that was lost may be gone on with soon.
insert into outbox.queues (name, handler, class, timeout, lease_size, attempts, backoff, created_at)
values ('recover', 'recover', 'recover', '5 min', 5, 100, '{"baseMs": 1000, "capMs": 60000}', clock_timestamp())
on conflict (name) do nothing;

create index endpoint_secrets_expiry on outbox.endpoint_secrets (expires_at) where expires_at is not null;

-- Who wrote a row is not what the row says, and what it may name is judged when it is taken out.
alter table outbox.outboxevent
  add column producer text not null default session_user,
  alter column project_id set default nullif(current_setting('outbox.project', true), '')::uuid,
  set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = off);
