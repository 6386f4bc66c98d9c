-- expand
--
-- The engine's tables. A job's body never changes; the table its row stands in tells its state:
--
--   ready / later ──claim──▶ leases ──settle──▶ attempts (the ledger), later, dead_letters
--
-- Tables are private. What may be called or read is in sql/functions, sql/views and grants.sql.

create schema if not exists outbox;

-- Types --------------------------------------------------------------------------------------------

-- Who asks. A key of a team sees project_ids (null: all of the team); everywhere: every team.
create type outbox.caller as (
  team_id uuid, project_ids uuid[], everywhere boolean, key_id uuid, actor text, request_id text
);

-- A starting point in `ready`: the share `lane` of a queue from (priority, run_at) on. Lane 0 means
-- the queue's keyed lanes, oldest due first. `want` is how many to take there.
create type outbox.spot as (
  queue_id int, lane bigint, priority smallint, run_at timestamptz, want int
);

-- One claimed job, as a worker gets it. A payload over 64 KiB is null: fetch it with `payload`.
create type outbox.claimed as (
  lease_id uuid, job_id uuid, no int, attempt int, max_attempts int, series int,
  queue text, handler text, lane bigint, priority int, run_at timestamptz,
  team_id uuid, project_id uuid, event_id uuid, type text, payload jsonb, payload_bytes int,
  ordering_key text, timeout interval, deadline timestamptz, expires_at timestamptz,
  checkpoint jsonb, key_id uuid, actor text, request_id text, traceparent text, watched boolean,
  queue_id int, hops int
);

-- One event on its way in, whatever the door. `unit` is what stands or falls together.
create type outbox.incoming as (
  ord int, unit int, id uuid, team_id uuid, project_id uuid, session_id uuid,
  content_session_id text, platform_source text, type text, adapter text, source text,
  source_event_id text, subject text, payload jsonb, encoding text, content_type text,
  metadata jsonb, attributes jsonb, ordering_key text, occurred_at timestamptz,
  run_at timestamptz, expires_at timestamptz, priority int, request_id text, traceparent text,
  tracestate text, key_id uuid, actor text, hops int, private_removed int,
  event_key text, strict boolean, watched boolean
);

-- What became of it: 201, a refusal 4xx, or 0 = its key belongs to a refused unit, run it again.
create type outbox.verdict as (
  ord int, unit int, status int, event_id uuid, duplicate boolean, differs boolean,
  error text, code text
);

-- A keyed job on its way into its lane.
create type outbox.placeable as (
  job_id uuid, queue_id int, key text, due timestamptz, n int, attempt int, no int, series int
);

-- One open job of a lease on its way out: where it stood, what happened, and what follows from it.
create type outbox.settling as (
  ord int, lease_id uuid, worker_id uuid, job_id uuid, queue_id int, lane bigint, priority smallint,
  run_at timestamptz, no smallint, attempt smallint, series smallint, started_at timestamptz,
  outcome text, ms int, class text, status int, error text, output jsonb, detail jsonb,
  retry_in interval, final boolean, held text, actor text, key_id uuid,
  state text, due_at timestamptz
);

-- What a bulk verb did, or would do.
create type outbox.bulk as (
  dry_run boolean, matched int, affected int, skipped int, remaining int, sample uuid[],
  first_due_at timestamptz, last_due_at timestamptz
);

-- Settings that SQL needs and the daemon writes at boot ---------------------------------------------

create table outbox.settings (
  name text primary key,
  value text not null
);

-- Tenants --------------------------------------------------------------------------------------------

create table outbox.teams (
  id uuid primary key,
  name text not null check (char_length(name) between 1 and 120),
  metadata jsonb not null default '{}',
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create unique index teams_name on outbox.teams (lower(name));

create table outbox.projects (
  id uuid primary key,
  team_id uuid not null references outbox.teams,
  -- The project's lane in `ready`: its share of every queue.
  number int generated always as identity unique,
  name text not null check (char_length(name) between 1 and 120),
  metadata jsonb not null default '{}',
  settings jsonb not null default '{}',
  egress boolean not null default false,
  archived_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  revision int not null default 1,
  unique (id, team_id)
);
create unique index projects_name on outbox.projects (team_id, lower(name));

create table outbox.keys (
  id uuid primary key,
  hash bytea not null unique check (octet_length(hash) = 32),
  prefix text not null,
  name text check (char_length(name) <= 120),
  team_id uuid references outbox.teams,
  project_id uuid,
  scopes text[] not null,
  actor text not null,
  created_by uuid,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz,
  check (project_id is null or team_id is not null),
  foreign key (project_id, team_id) references outbox.projects (id, team_id)
);
create index keys_team on outbox.keys (team_id, created_at);

create table outbox.producers (
  role_name name not null,
  project_id uuid not null references outbox.projects,
  primary key (role_name, project_id)
);

-- Events ---------------------------------------------------------------------------------------------

create table outbox.events (
  id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  session_id uuid,
  occurred_at timestamptz not null,
  received_at timestamptz not null,
  expires_at timestamptz,
  expunged_at timestamptz,
  key_id uuid,
  hops smallint not null default 0,
  private_removed int not null default 0,
  type text not null,
  adapter text not null,
  actor text,
  request_id text,
  traceparent text,
  tracestate text,
  subject text,
  ordering_key text,
  source text,
  source_event_id text,
  content_session_id text,
  platform_source text,
  encoding text,
  content_type text,
  attributes jsonb,
  metadata jsonb not null default '{}',
  payload jsonb not null,
  primary key (id)
) partition by range (id);
create index events_project on outbox.events (project_id, id);

create table outbox.event_keys (
  project_id uuid not null,
  key text collate "C" not null,
  event_id uuid not null,
  fingerprint bytea not null,
  expires_at timestamptz not null,
  primary key (project_id, key)
);
create index event_keys_expiry on outbox.event_keys (expires_at);

-- Queues, shares, routes, handlers --------------------------------------------------------------------

create table outbox.queues (
  id int generated always as identity primary key,
  name text collate "C" not null unique check (name ~ '^[a-z0-9][a-z0-9._:-]{0,99}\Z'),
  handler text not null,
  class text not null,
  concurrency int check (concurrency between 1 and 1000),
  per_worker int check (per_worker between 1 and 1000),
  lease_size int not null default 50 check (lease_size between 1 and 500),
  rate_per_second numeric check (rate_per_second between 0.01 and 10000),
  rate_burst int check (rate_burst between 1 and 10000),
  attempts int not null default 12 check (attempts between 1 and 100),
  backoff jsonb not null default '{"baseMs": 5000, "capMs": 3600000}',
  timeout interval not null default '5 min' check (timeout between '1 s' and '24 h'),
  on_dead text not null default 'advance' check (on_dead in ('advance', 'block')),
  paused boolean not null default false,
  paused_until timestamptz,
  paused_reason text,
  paused_by text,
  closed_until timestamptz,
  closed_reason text,
  probing boolean not null default false,
  made_by uuid,
  created_at timestamptz not null,
  check ((rate_per_second is null) = (rate_burst is null))
);
create index queues_made_by on outbox.queues (made_by) where made_by is not null;
-- The handlers a worker knows, to the queues it may claim from.
create index queues_handler on outbox.queues (handler);

create table outbox.shares (
  queue_id int not null references outbox.queues,
  project_id uuid not null references outbox.projects,
  weight int not null default 1 check (weight between 1 and 100),
  paused boolean not null default false,
  paused_reason text,
  paused_by text,
  paused_until timestamptz,
  primary key (queue_id, project_id)
);

-- A row for each queue with an exact limit. Only the holder of its lock claims there, so what it
-- counts (the queue's open ids in `leases`) can only fall meanwhile.
create table outbox.gates (
  queue_id int primary key references outbox.queues,
  tokens double precision not null default 0,
  filled_at timestamptz not null
) with (fillfactor = 50);

create table outbox.handlers (
  name text primary key,
  open boolean not null default false,
  declared_by text not null,
  created_at timestamptz not null
);

create table outbox.routes (
  id uuid primary key,
  team_id uuid references outbox.teams,
  project_id uuid,
  pattern text collate "C" not null,
  queue_id int not null references outbox.queues,
  enabled boolean not null default true,
  contains jsonb check (jsonb_typeof(contains) = 'object'),
  priority int check (priority between -100 and 100),
  delay interval check (delay between '0' and '366 days'),
  max_attempts int check (max_attempts between 1 and 100),
  timeout interval check (timeout between '1 s' and '24 h'),
  ordered boolean not null default true,
  created_at timestamptz not null,
  created_by text,
  check (project_id is null or team_id is not null),
  foreign key (project_id, team_id) references outbox.projects (id, team_id)
);
create index routes_pattern on outbox.routes (pattern);
create index routes_scope on outbox.routes (project_id, team_id);

-- Webhook targets ---------------------------------------------------------------------------------------

create table outbox.endpoints (
  id uuid primary key,
  team_id uuid not null,
  project_id uuid not null,
  queue_id int not null references outbox.queues,
  uid text check (uid ~ '^[A-Za-z0-9._-]{1,128}\Z'),
  url text not null,
  types text[] not null default '{*}',
  contains jsonb check (jsonb_typeof(contains) = 'object'),
  excludes jsonb check (jsonb_typeof(excludes) = 'object'),
  state text not null default 'enabled' check (state in ('enabled', 'paused', 'disabled')),
  disabled_reason text,
  disabled_at timestamptz,
  ordering text not null default 'none' check (ordering in ('none', 'key', 'endpoint')),
  timeout interval not null default '15 s',
  max_age interval not null default '7 days',
  terminal_4xx boolean not null default false,
  max_body_bytes int not null default 262144,
  headers bytea,
  description text check (char_length(description) <= 500),
  metadata jsonb not null default '{}',
  last_class text,
  last_status int,
  last_success_at timestamptz,
  last_failure_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  revision int not null default 1,
  foreign key (project_id, team_id) references outbox.projects (id, team_id)
);
create index endpoints_project on outbox.endpoints (project_id, id);
create unique index endpoints_uid on outbox.endpoints (project_id, uid) where uid is not null;
create unique index endpoints_queue on outbox.endpoints (queue_id);

create table outbox.endpoint_secrets (
  id uuid primary key,
  endpoint_id uuid not null references outbox.endpoints on delete cascade,
  kind text not null check (kind in ('hmac', 'ed25519')),
  sealed bytea not null,
  public_key text,
  created_at timestamptz not null,
  expires_at timestamptz
);
create index endpoint_secrets_endpoint on outbox.endpoint_secrets (endpoint_id, created_at);

-- Jobs -------------------------------------------------------------------------------------------------

-- Written once. What is null comes from the queue (attempts, timeout), from the event (actor, key,
-- request, trace) or from the id's own time (run_at; deadline: + hold_days).
create table outbox.jobs (
  id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  event_id uuid,
  queue_id int not null,
  priority smallint not null default 0,
  max_attempts smallint,
  watched boolean not null default false,
  run_at timestamptz,
  deadline timestamptz,
  expires_at timestamptz,
  timeout interval,
  key_id uuid,
  ordering_key text,
  unique_key text,
  unique_until text check (unique_until in ('ended', 'started')),
  actor text,
  request_id text,
  traceparent text,
  payload jsonb,
  primary key (id)
) partition by range (id);
create index jobs_project on outbox.jobs (project_id, id);
create index jobs_event on outbox.jobs (event_id) where event_id is not null;

-- The primary key is the claim order. lane > 0: the project's number; < 0: a row of `lanes`.
-- priority is stored negated, so that ascending is right; keyed rows store 0.
create table outbox.ready (
  run_at timestamptz not null,
  lane bigint not null,
  job_id uuid not null,
  queue_id int not null,
  priority smallint not null,
  attempt smallint not null,
  no smallint not null,
  series smallint not null,
  primary key (queue_id, lane, priority, run_at, job_id)
) with (fillfactor = 100, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
        autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
create index ready_job on outbox.ready (job_id);

create table outbox.later (
  run_at timestamptz not null,
  lane bigint not null,
  job_id uuid not null,
  queue_id int not null,
  priority smallint not null,
  attempt smallint not null,
  no smallint not null,
  series smallint not null,
  held text,
  primary key (run_at, job_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
create index later_job on outbox.later (job_id);
create index later_held on outbox.later (held, lane) where held is not null;
create index later_queue on outbox.later (queue_id, run_at);

-- One row a claimed batch of one queue, ≤ 100 ids: it stays in its page. The arrays run in parallel,
-- ordered by job id, and shrink as jobs are settled; the row goes with its last job.
create table outbox.leases (
  id uuid primary key,
  worker_id uuid not null,
  queue_id int not null,
  claimed_at timestamptz not null,
  deadline_at timestamptz not null,
  expires_at timestamptz,
  job_ids uuid[] not null,
  nos smallint[] not null,
  attempts smallint[] not null,
  series smallint[] not null,
  run_ats timestamptz[] not null,
  lanes bigint[] not null,
  priorities smallint[] not null
) with (fillfactor = 50, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
create index leases_worker on outbox.leases (worker_id);
create index leases_queue on outbox.leases (queue_id);

-- The ledger: a row for everything that ever happened to a job.
create table outbox.attempts (
  job_id uuid not null,
  lease_id uuid,
  worker_id uuid,
  started_at timestamptz,
  at timestamptz not null,
  retry_at timestamptz,
  ms int,
  waited_ms int,
  no smallint not null,
  attempt smallint not null,
  series smallint not null,
  status smallint,
  outcome text not null check (outcome in ('completed', 'failed', 'timed_out', 'lost', 'released',
    'snoozed', 'cancelled', 'retried', 'purged')),
  class text,
  error text check (char_length(error) <= 2000),
  actor text,
  key_id uuid,
  output jsonb,
  detail jsonb,
  primary key (job_id, no)
) partition by range (job_id);
create index attempts_at on outbox.attempts using brin (at);

create table outbox.dead_letters (
  job_id uuid primary key,
  team_id uuid not null,
  project_id uuid not null,
  queue_id int not null,
  failed_at timestamptz not null,
  place timestamptz not null,
  attempt smallint not null,
  no smallint not null,
  series smallint not null,
  status smallint,
  class text,
  error text
);
create index dead_letters_queue on outbox.dead_letters (queue_id, failed_at);
create index dead_letters_project on outbox.dead_letters (project_id, job_id);
create index dead_letters_failed on outbox.dead_letters (failed_at);

-- Jobs with an end of their own (expires_at, or a deadline that was given): found by time, whatever
-- their queue does. Every other job ends hold_days after its id was made.
create table outbox.expiries (
  at timestamptz not null,
  job_id uuid not null,
  primary key (at, job_id)
);

create table outbox.job_keys (
  project_id uuid not null,
  queue_id int not null,
  key text collate "C" not null,
  job_id uuid not null,
  primary key (project_id, queue_id, key)
);
create index job_keys_job on outbox.job_keys (job_id);

create table outbox.checkpoints (
  job_id uuid primary key,
  progress jsonb,
  checkpoint jsonb,
  at timestamptz not null
) with (fillfactor = 70);

-- Lanes: one row a live ordering key of a queue -----------------------------------------------------------

create sequence outbox.lane_ids increment -1 maxvalue -1 minvalue -9223372036854775807 start -1;

create table outbox.lanes (
  id bigint primary key default nextval('outbox.lane_ids'),
  queue_id int not null,
  project_id uuid not null,
  key text collate "C" not null,
  -- The place of the newest job: lane order is feed order.
  last_place timestamptz not null,
  -- When the head may run; what the claim is ordered by.
  due_at timestamptz not null,
  -- The lease and job in hand; a lane in hand is not claimed.
  lease_id uuid,
  job_id uuid,
  held text,
  -- The dead head that stops the lane (policy block).
  blocked_by uuid,
  unique (queue_id, project_id, key)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
create index lanes_due on outbox.lanes (queue_id, due_at) where lease_id is null and blocked_by is null;
create index lanes_blocked on outbox.lanes (queue_id, id) where blocked_by is not null;

-- The feed ---------------------------------------------------------------------------------------------

create table outbox.pending (
  project_id uuid not null,
  id bigint generated always as identity,
  event_id uuid not null,
  at timestamptz not null,
  bytes int not null,
  type text not null,
  -- Its keyed jobs, which wait for their places.
  jobs uuid[],
  primary key (project_id, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
create index pending_event on outbox.pending (event_id);

create table outbox.streams (
  project_id uuid primary key,
  head bigint not null default 0,
  floor bigint not null default 0,
  epoch char(8) not null,
  cluster text not null,
  sequenced_at timestamptz not null
) with (fillfactor = 50);

create table outbox.stream_epochs (
  project_id uuid not null,
  epoch char(8) not null,
  last_seq bigint not null,
  ended_at timestamptz not null,
  primary key (project_id, epoch)
);

create table outbox.feed (
  project_id uuid not null,
  seq bigint not null,
  sequenced_at timestamptz not null,
  event_id uuid not null,
  bytes int not null,
  type text not null,
  jobs uuid[],
  primary key (project_id, seq, sequenced_at)
) partition by range (sequenced_at);
create index feed_event on outbox.feed (event_id);

-- Numbered, not yet placed into lanes: one row a sequenced batch that holds keyed work. `placing` is
-- the lock under which a project's batches are placed in order; it is not `streams`, so that a lane
-- somebody holds never stops the numbering.
create table outbox.unplaced (
  project_id uuid not null,
  first_seq bigint not null,
  last_seq bigint not null,
  sequenced_at timestamptz not null,
  primary key (project_id, first_seq)
);
create table outbox.placing (
  project_id uuid primary key,
  placed bigint not null default 0
) with (fillfactor = 50);

-- Workers ------------------------------------------------------------------------------------------------

create sequence outbox.lock_numbers as int cycle;

create table outbox.workers (
  id uuid primary key,
  name text not null check (char_length(name) between 1 and 120),
  kind text not null check (kind in ('daemon', 'pull', 'sql')),
  host text,
  pid int,
  version text,
  handlers text[] not null,
  queues text[],
  slots int not null default 0,
  running int not null default 0,
  team_id uuid,
  project_id uuid,
  key_id uuid,
  lock_no int not null,
  -- The server incarnation on which the liveness lock was taken; null: no lock, only beats count.
  incarnation text,
  beat_every interval not null,
  -- null: no beats; its leases carry a time limit instead.
  beats boolean not null default true,
  lease_for interval,
  -- Handlers that write when they complete: each of their jobs gets a lease row of its own, since it is
  -- locked while they commit.
  writes text[] not null default '{}',
  started_at timestamptz not null,
  beat_at timestamptz not null,
  draining boolean not null default false,
  fenced_at timestamptz,
  -- Jobs in its hands that somebody cancelled; the next beat takes them along.
  cancelled uuid[] not null default '{}'
) with (fillfactor = 50);

-- Who sleeps: (handler, worker); the handler '' is the worker's sequencer. A hint: lost on a crash, filled
-- again as workers fall idle; nothing but the gate of notifications reads it.
create unlogged table outbox.idle (
  handler text not null,
  worker_id uuid not null,
  primary key (handler, worker_id)
);

-- Upkeep and audit -----------------------------------------------------------------------------------------

create table outbox.chores (
  name text primary key,
  last_success_at timestamptz,
  last_error_at timestamptz,
  last_error text
) with (fillfactor = 50);

create table outbox.audit_log (
  id uuid not null,
  at timestamptz not null,
  team_id uuid,
  project_id uuid,
  actor text not null,
  key_id uuid,
  action text not null,
  resource_type text not null,
  resource_id text,
  request_id text,
  details jsonb not null default '{}',
  primary key (id)
) partition by range (id);
create index audit_log_team on outbox.audit_log (team_id, id);
create index audit_log_resource on outbox.audit_log (resource_id, id);
