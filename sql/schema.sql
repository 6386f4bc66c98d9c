-- Generated, for review: the schema `outbox` as migrations, functions and views make it today.
-- Never run it.

create type outbox.bulk as (
  dry_run boolean,
  matched integer,
  affected integer,
  skipped integer,
  remaining integer,
  sample uuid[],
  first_due_at timestamp with time zone,
  last_due_at timestamp with time zone
);

create type outbox.caller as (
  team_id uuid,
  project_ids uuid[],
  everywhere boolean,
  key_id uuid,
  actor text,
  request_id text
);

create type outbox.claimed as (
  lease_id uuid,
  job_id uuid,
  no integer,
  attempt integer,
  max_attempts integer,
  series integer,
  queue text,
  handler text,
  lane bigint,
  priority integer,
  run_at timestamp with time zone,
  team_id uuid,
  project_id uuid,
  event_id uuid,
  type text,
  payload jsonb,
  payload_bytes integer,
  ordering_key text,
  timeout interval,
  deadline timestamp with time zone,
  expires_at timestamp with time zone,
  checkpoint jsonb,
  key_id uuid,
  actor text,
  request_id text,
  traceparent text,
  watched boolean,
  queue_id integer,
  hops integer
);

create type outbox.gathered as (
  project_id uuid,
  team_id uuid,
  lane bigint,
  queue_id integer,
  key text,
  session_id uuid,
  session_open boolean,
  seqs bigint[],
  events uuid[],
  ats timestamp with time zone[],
  quiet interval,
  longest interval,
  most integer,
  now timestamp with time zone
);

create type outbox.incoming as (
  ord integer,
  unit integer,
  id uuid,
  team_id uuid,
  project_id uuid,
  session_id uuid,
  content_session_id text,
  platform_source text,
  type text,
  adapter text,
  source text,
  source_event_id text,
  subject text,
  payload jsonb,
  encoding text,
  content_type text,
  metadata jsonb,
  attributes jsonb,
  ordering_key text,
  occurred_at timestamp with time zone,
  run_at timestamp with time zone,
  expires_at timestamp with time zone,
  priority integer,
  request_id text,
  traceparent text,
  tracestate text,
  key_id uuid,
  actor text,
  hops integer,
  private_removed integer,
  event_key text,
  strict boolean,
  watched boolean,
  generate boolean,
  platform_given boolean
);

create type outbox.placeable as (
  job_id uuid,
  queue_id integer,
  key text,
  due timestamp with time zone,
  n integer,
  attempt integer,
  no integer,
  series integer
);

create type outbox.settling as (
  ord integer,
  lease_id uuid,
  worker_id uuid,
  job_id uuid,
  queue_id integer,
  lane bigint,
  priority smallint,
  run_at timestamp with time zone,
  no smallint,
  attempt smallint,
  series smallint,
  started_at timestamp with time zone,
  outcome text,
  ms integer,
  class text,
  status integer,
  error text,
  output jsonb,
  detail jsonb,
  retry_in interval,
  final boolean,
  held text,
  actor text,
  key_id uuid,
  state text,
  due_at timestamp with time zone
);

create type outbox.spot as (
  queue_id integer,
  lane bigint,
  priority smallint,
  run_at timestamp with time zone,
  want integer
);

create type outbox.trail as (
  id uuid,
  at timestamp with time zone,
  action text,
  resource_type text,
  resource_id text,
  team_id uuid,
  project_id uuid,
  actor text,
  key_id uuid,
  request_id text,
  event_id uuid,
  job_id uuid,
  details jsonb
);

create type outbox.verdict as (
  ord integer,
  unit integer,
  status integer,
  event_id uuid,
  duplicate boolean,
  differs boolean,
  error text,
  code text
);

create sequence outbox.lane_ids as bigint increment by -1 start with -1;
create sequence outbox.lock_numbers as integer increment by 1 start with 1;

create table outbox.attempts (
  job_id uuid not null,
  lease_id uuid,
  worker_id uuid,
  started_at timestamp with time zone,
  at timestamp with time zone not null,
  retry_at timestamp with time zone,
  ms integer,
  waited_ms integer,
  no smallint not null,
  attempt smallint not null,
  series smallint not null,
  status smallint,
  outcome text not null,
  class text,
  error text,
  actor text,
  key_id uuid,
  output jsonb,
  detail jsonb,
  constraint attempts_pkey PRIMARY KEY (job_id, no),
  constraint attempts_error_check CHECK ((char_length(error) <= 2000)),
  constraint attempts_outcome_check CHECK ((outcome = ANY (ARRAY['completed'::text, 'failed'::text, 'timed_out'::text, 'lost'::text, 'released'::text, 'snoozed'::text, 'cancelled'::text, 'retried'::text, 'purged'::text])))
)
partition by RANGE (job_id);

create table outbox.audit_log (
  id uuid not null,
  at timestamp with time zone not null,
  team_id uuid,
  project_id uuid,
  actor text not null,
  key_id uuid,
  action text not null,
  resource_type text not null,
  resource_id text,
  request_id text,
  details jsonb not null default '{}'::jsonb,
  constraint audit_log_pkey PRIMARY KEY (id)
)
partition by RANGE (id);

create table outbox.budget_marks (
  scope_id uuid not null,
  budget text not null,
  period timestamp with time zone not null,
  percent integer not null,
  at timestamp with time zone not null,
  constraint budget_marks_pkey PRIMARY KEY (scope_id, budget, period, percent)
);

create table outbox.checkpoints (
  job_id uuid not null,
  progress jsonb,
  checkpoint jsonb,
  at timestamp with time zone not null,
  constraint checkpoints_pkey PRIMARY KEY (job_id)
)
with (fillfactor=70);

create table outbox.chores (
  name text not null,
  last_success_at timestamp with time zone,
  last_error_at timestamp with time zone,
  last_error text,
  constraint chores_pkey PRIMARY KEY (name)
)
with (fillfactor=50);

create table outbox.console_sessions (
  hash bytea not null,
  key_id uuid not null,
  csrf bytea not null,
  opened_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint console_sessions_pkey PRIMARY KEY (hash),
  constraint console_sessions_csrf_check CHECK ((octet_length(csrf) = 32)),
  constraint console_sessions_hash_check CHECK ((octet_length(hash) = 32))
);

create table outbox.dead_letters (
  job_id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  queue_id integer not null,
  failed_at timestamp with time zone not null,
  place timestamp with time zone not null,
  attempt smallint not null,
  no smallint not null,
  series smallint not null,
  status smallint,
  class text,
  error text,
  constraint dead_letters_pkey PRIMARY KEY (job_id)
);

create table outbox.endpoint_ends (
  queue_id integer not null,
  endpoint_id uuid not null,
  ended_at timestamp with time zone not null,
  constraint endpoint_ends_pkey PRIMARY KEY (queue_id),
  constraint endpoint_ends_queue_id_fkey FOREIGN KEY (queue_id) REFERENCES outbox.queues(id)
);

create table outbox.endpoint_secrets (
  id uuid not null,
  endpoint_id uuid not null,
  kind text not null,
  sealed bytea not null,
  public_key text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  constraint endpoint_secrets_pkey PRIMARY KEY (id),
  constraint endpoint_secrets_kind_check CHECK ((kind = ANY (ARRAY['hmac'::text, 'ed25519'::text]))),
  constraint endpoint_secrets_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES outbox.endpoints(id) ON DELETE CASCADE
);

create table outbox.endpoints (
  id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  queue_id integer not null,
  uid text,
  url text not null,
  types text[] not null default '{*}'::text[],
  contains jsonb,
  excludes jsonb,
  state text not null default 'enabled'::text,
  disabled_reason text,
  disabled_at timestamp with time zone,
  ordering text not null default 'none'::text,
  timeout interval not null default '00:00:15'::interval,
  max_age interval not null default '7 days'::interval,
  terminal_4xx boolean not null default false,
  max_body_bytes integer not null default 262144,
  headers bytea,
  description text,
  metadata jsonb not null default '{}'::jsonb,
  last_class text,
  last_status integer,
  last_success_at timestamp with time zone,
  last_failure_at timestamp with time zone,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  revision integer not null default 1,
  format text not null default 'standard'::text,
  signing text not null default 'v1'::text,
  disable_after interval not null default '120:00:00'::interval,
  consecutive_failures integer not null default 0,
  first_failure_at timestamp with time zone,
  trips integer not null default 0,
  recovery_job uuid,
  first_delay interval not null default '00:00:00'::interval,
  constraint endpoints_pkey PRIMARY KEY (id),
  constraint endpoints_contains_check CHECK ((jsonb_typeof(contains) = 'object'::text)),
  constraint endpoints_description_check CHECK ((char_length(description) <= 500)),
  constraint endpoints_disable_after_check CHECK (((disable_after >= '00:00:00'::interval) AND (disable_after <= '720:00:00'::interval))),
  constraint endpoints_excludes_check CHECK ((jsonb_typeof(excludes) = 'object'::text)),
  constraint endpoints_first_delay_check CHECK (((first_delay >= '00:00:00'::interval) AND (first_delay <= '24:00:00'::interval))),
  constraint endpoints_format_check CHECK ((format = ANY (ARRAY['standard'::text, 'ce-structured'::text, 'ce-binary'::text]))),
  constraint endpoints_ordering_check CHECK ((ordering = ANY (ARRAY['none'::text, 'key'::text, 'endpoint'::text]))),
  constraint endpoints_signing_check CHECK ((signing = ANY (ARRAY['v1'::text, 'v1+v1a'::text, 'v1a'::text]))),
  constraint endpoints_state_check CHECK ((state = ANY (ARRAY['enabled'::text, 'paused'::text, 'disabled'::text]))),
  constraint endpoints_uid_check CHECK ((uid ~ '^[A-Za-z0-9._-]{1,128}\Z'::text)),
  constraint endpoints_project_id_team_id_fkey FOREIGN KEY (project_id, team_id) REFERENCES outbox.projects(id, team_id),
  constraint endpoints_queue_id_fkey FOREIGN KEY (queue_id) REFERENCES outbox.queues(id)
);

create table outbox.event_keys (
  project_id uuid not null,
  key text collate "C" not null,
  event_id uuid not null,
  fingerprint bytea not null,
  expires_at timestamp with time zone not null,
  constraint event_keys_pkey PRIMARY KEY (project_id, key)
);

create table outbox.events (
  id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  session_id uuid,
  occurred_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  expunged_at timestamp with time zone,
  key_id uuid,
  hops smallint not null default 0,
  private_removed integer not null default 0,
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
  metadata jsonb not null default '{}'::jsonb,
  payload jsonb not null,
  constraint events_pkey PRIMARY KEY (id)
)
partition by RANGE (id);

create table outbox.expiries (
  at timestamp with time zone not null,
  job_id uuid not null,
  constraint expiries_pkey PRIMARY KEY (at, job_id)
);

create table outbox.feed (
  project_id uuid not null,
  seq bigint not null,
  sequenced_at timestamp with time zone not null,
  event_id uuid not null,
  bytes integer not null,
  type text not null,
  jobs uuid[],
  gather boolean not null default false,
  constraint feed_pkey PRIMARY KEY (project_id, seq, sequenced_at)
)
partition by RANGE (sequenced_at);

create table outbox.gates (
  queue_id integer not null,
  tokens double precision not null default 0,
  filled_at timestamp with time zone not null,
  constraint gates_pkey PRIMARY KEY (queue_id),
  constraint gates_queue_id_fkey FOREIGN KEY (queue_id) REFERENCES outbox.queues(id)
)
with (fillfactor=50);

create table outbox.gatherings (
  project_id uuid not null,
  key text collate "C" not null,
  job_id uuid not null,
  session_id uuid,
  events integer not null,
  opened_at timestamp with time zone not null,
  constraint gatherings_pkey PRIMARY KEY (project_id, key)
)
with (fillfactor=70);

create table outbox.handlers (
  name text not null,
  open boolean not null default false,
  declared_by text not null,
  created_at timestamp with time zone not null,
  constraint handlers_pkey PRIMARY KEY (name)
);

create table outbox.idempotency (
  scope_id uuid not null,
  route text not null,
  key text collate "C" not null,
  fingerprint bytea not null,
  status smallint not null,
  reply jsonb not null,
  expires_at timestamp with time zone not null,
  constraint idempotency_pkey PRIMARY KEY (scope_id, route, key)
);

create unlogged table outbox.idle (
  handler text not null,
  worker_id uuid not null,
  constraint idle_pkey PRIMARY KEY (handler, worker_id)
);

create table outbox.interactions (
  id text collate "C" not null,
  team_id uuid not null,
  project_id uuid not null,
  connection_id text not null,
  expected_actor text not null,
  kind text not null,
  state text not null default 'pending'::text,
  prompt jsonb not null,
  options jsonb,
  context jsonb not null default '{}'::jsonb,
  free_text boolean not null,
  digest bytea not null,
  session_id uuid,
  request_id text,
  traceparent text,
  asked_by_key uuid,
  asked_by text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  answered_at timestamp with time zone,
  answered_by text,
  answer jsonb,
  ended_at timestamp with time zone,
  ended_reason text,
  answer_event_id uuid,
  uses integer not null default 0,
  max_uses integer,
  constraint interactions_pkey PRIMARY KEY (id),
  constraint interactions_check CHECK (((state = 'pending'::text) = (ended_at IS NULL))),
  constraint interactions_check1 CHECK (((kind = 'suggestion'::text) = (max_uses IS NOT NULL))),
  constraint interactions_connection_id_check CHECK (((char_length(connection_id) >= 1) AND (char_length(connection_id) <= 255))),
  constraint interactions_digest_check CHECK ((octet_length(digest) = 32)),
  constraint interactions_ended_reason_check CHECK ((char_length(ended_reason) <= 500)),
  constraint interactions_expected_actor_check CHECK (((char_length(expected_actor) >= 1) AND (char_length(expected_actor) <= 255))),
  constraint interactions_id_check CHECK ((id ~ '^[A-Za-z0-9._-]{1,128}\Z'::text)),
  constraint interactions_kind_check CHECK ((kind = ANY (ARRAY['question'::text, 'approval'::text, 'suggestion'::text]))),
  constraint interactions_max_uses_check CHECK (((max_uses >= 1) AND (max_uses <= 100000))),
  constraint interactions_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'answered'::text, 'withdrawn'::text, 'expired'::text]))),
  constraint interactions_project_id_team_id_fkey FOREIGN KEY (project_id, team_id) REFERENCES outbox.projects(id, team_id)
)
with (fillfactor=80);

create table outbox.job_keys (
  project_id uuid not null,
  queue_id integer not null,
  key text collate "C" not null,
  job_id uuid not null,
  constraint job_keys_pkey PRIMARY KEY (project_id, queue_id, key)
);

create table outbox.jobs (
  id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  event_id uuid,
  queue_id integer not null,
  priority smallint not null default 0,
  max_attempts smallint,
  watched boolean not null default false,
  run_at timestamp with time zone,
  deadline timestamp with time zone,
  expires_at timestamp with time zone,
  timeout interval,
  key_id uuid,
  ordering_key text,
  unique_key text,
  unique_until text,
  actor text,
  request_id text,
  traceparent text,
  payload jsonb,
  session_id uuid,
  constraint jobs_pkey PRIMARY KEY (id),
  constraint jobs_unique_until_check CHECK ((unique_until = ANY (ARRAY['ended'::text, 'started'::text])))
)
partition by RANGE (id);

create table outbox.keys (
  id uuid not null,
  hash bytea not null,
  prefix text not null,
  name text,
  team_id uuid,
  project_id uuid,
  scopes text[] not null,
  actor text not null,
  created_by uuid,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  last_used_at timestamp with time zone,
  constraint keys_pkey PRIMARY KEY (id),
  constraint keys_check CHECK (((project_id IS NULL) OR (team_id IS NOT NULL))),
  constraint keys_hash_check CHECK ((octet_length(hash) = 32)),
  constraint keys_name_check CHECK ((char_length(name) <= 120)),
  constraint keys_project_id_team_id_fkey FOREIGN KEY (project_id, team_id) REFERENCES outbox.projects(id, team_id),
  constraint keys_team_id_fkey FOREIGN KEY (team_id) REFERENCES outbox.teams(id),
  constraint keys_hash_key UNIQUE (hash)
);

create table outbox.lanes (
  id bigint not null default nextval('outbox.lane_ids'::regclass),
  queue_id integer not null,
  project_id uuid not null,
  key text collate "C" not null,
  last_place timestamp with time zone not null,
  due_at timestamp with time zone not null,
  lease_id uuid,
  job_id uuid,
  held text,
  blocked_by uuid,
  constraint lanes_pkey PRIMARY KEY (id),
  constraint lanes_queue_id_project_id_key_key UNIQUE (queue_id, project_id, key)
)
with (fillfactor=70, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0, vacuum_truncate=off);

create table outbox.later (
  run_at timestamp with time zone not null,
  lane bigint not null,
  job_id uuid not null,
  queue_id integer not null,
  priority smallint not null,
  attempt smallint not null,
  no smallint not null,
  series smallint not null,
  held text,
  constraint later_pkey PRIMARY KEY (run_at, job_id)
)
with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0, vacuum_truncate=off);

create table outbox.leases (
  id uuid not null,
  worker_id uuid not null,
  queue_id integer not null,
  claimed_at timestamp with time zone not null,
  deadline_at timestamp with time zone not null,
  job_ids uuid[] not null,
  nos smallint[] not null,
  attempts smallint[] not null,
  series smallint[] not null,
  run_ats timestamp with time zone[] not null,
  lanes bigint[] not null,
  priorities smallint[] not null,
  constraint leases_pkey PRIMARY KEY (id)
)
with (fillfactor=50, toast_tuple_target=8160, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0, vacuum_truncate=off);

create table outbox.members (
  job_id uuid not null,
  event_id uuid not null,
  seq bigint not null,
  constraint members_pkey PRIMARY KEY (job_id, event_id)
);

create table outbox.migrations (
  path text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default clock_timestamp(),
  kind text not null,
  constraint migrations_pkey PRIMARY KEY (path)
);

create table outbox.observation_sources (
  id uuid not null,
  observation_id uuid not null,
  project_id uuid not null,
  source_type text not null,
  source_id uuid not null,
  job_id uuid,
  created_at timestamp with time zone not null,
  constraint observation_sources_pkey PRIMARY KEY (id),
  constraint observation_sources_source_type_check CHECK ((source_type = ANY (ARRAY['agent_event'::text, 'session_summary'::text]))),
  constraint observation_sources_observation_id_fkey FOREIGN KEY (observation_id) REFERENCES outbox.observations(id) ON DELETE CASCADE,
  constraint observation_sources_observation_id_source_type_source_id_key UNIQUE (observation_id, source_type, source_id)
);

create table outbox.observations (
  id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  session_id uuid,
  origin text not null,
  kind text not null,
  content text not null,
  metadata jsonb not null default '{}'::jsonb,
  platform_source text,
  revision integer not null default 1,
  generation_key text collate "C",
  idempotency_key text collate "C",
  job_id uuid,
  key_id uuid,
  content_hash bytea,
  simhash bigint,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  search tsvector not null,
  constraint observations_pkey PRIMARY KEY (id),
  constraint observations_kind_check CHECK (((char_length(kind) >= 1) AND (char_length(kind) <= 64))),
  constraint observations_origin_check CHECK ((origin = ANY (ARRAY['manual'::text, 'generated'::text, 'summary'::text]))),
  constraint observations_project_id_team_id_fkey FOREIGN KEY (project_id, team_id) REFERENCES outbox.projects(id, team_id)
)
with (toast_tuple_target=256);

create table outbox.outboxevent (
  n bigint not null generated always as identity,
  id uuid not null,
  aggregatetype text not null,
  aggregateid text not null,
  type text not null,
  payload jsonb,
  "timestamp" timestamp with time zone,
  tracingspancontext text,
  project_id uuid default (NULLIF(current_setting('outbox.project'::text, true), ''::text))::uuid,
  refused_at timestamp with time zone,
  refused_reason text,
  producer text not null default SESSION_USER,
  constraint outboxevent_pkey PRIMARY KEY (n)
)
with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, vacuum_truncate=off);

create table outbox.pending (
  project_id uuid not null,
  id bigint not null generated always as identity,
  event_id uuid not null,
  at timestamp with time zone not null,
  bytes integer not null,
  type text not null,
  jobs uuid[],
  gather boolean not null default false,
  constraint pending_pkey PRIMARY KEY (project_id, id)
)
with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0, vacuum_truncate=off);

create table outbox."placing" (
  project_id uuid not null,
  placed bigint not null default 0,
  constraint placing_pkey PRIMARY KEY (project_id)
)
with (fillfactor=50);

create table outbox.producers (
  role_name name collate "C" not null,
  project_id uuid not null,
  constraint producers_pkey PRIMARY KEY (role_name, project_id),
  constraint producers_project_id_fkey FOREIGN KEY (project_id) REFERENCES outbox.projects(id)
);

create table outbox.projects (
  id uuid not null,
  team_id uuid not null,
  number integer not null generated always as identity,
  name text not null,
  metadata jsonb not null default '{}'::jsonb,
  settings jsonb not null default '{}'::jsonb,
  egress boolean not null default false,
  archived_at timestamp with time zone,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  revision integer not null default 1,
  purged_at timestamp with time zone,
  constraint projects_pkey PRIMARY KEY (id),
  constraint projects_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 120))),
  constraint projects_team_id_fkey FOREIGN KEY (team_id) REFERENCES outbox.teams(id),
  constraint projects_id_team_id_key UNIQUE (id, team_id),
  constraint projects_number_key UNIQUE (number)
);

create table outbox.provider_holds (
  provider text not null,
  class text,
  until timestamp with time zone,
  holds integer not null default 0,
  failures integer not null default 0,
  probing_until timestamp with time zone,
  since timestamp with time zone,
  updated_at timestamp with time zone not null,
  constraint provider_holds_pkey PRIMARY KEY (provider)
);

create table outbox.purges (
  project_id uuid not null,
  team_id uuid not null,
  mark timestamp with time zone not null,
  step smallint not null default 0,
  upto uuid not null default '00000000-0000-0000-0000-000000000000'::uuid,
  observations bigint not null default 0,
  agent_events bigint not null default 0,
  sessions bigint not null default 0,
  jobs bigint not null default 0,
  actor text not null,
  key_id uuid,
  request_id text,
  constraint purges_pkey PRIMARY KEY (project_id)
);

create table outbox.queues (
  id integer not null generated always as identity,
  name text collate "C" not null,
  handler text not null,
  class text not null,
  concurrency integer,
  per_worker integer,
  lease_size integer not null default 50,
  rate_per_second numeric,
  rate_burst integer,
  attempts integer not null default 12,
  backoff jsonb not null default '{"capMs": 3600000, "baseMs": 5000}'::jsonb,
  timeout interval not null default '00:05:00'::interval,
  on_dead text not null default 'advance'::text,
  paused boolean not null default false,
  paused_until timestamp with time zone,
  paused_reason text,
  paused_by text,
  closed_until timestamp with time zone,
  closed_reason text,
  probing boolean not null default false,
  made_by uuid,
  created_at timestamp with time zone not null,
  constraint queues_pkey PRIMARY KEY (id),
  constraint queues_attempts_check CHECK (((attempts >= 1) AND (attempts <= 100))),
  constraint queues_check CHECK (((rate_per_second IS NULL) = (rate_burst IS NULL))),
  constraint queues_concurrency_check CHECK (((concurrency >= 1) AND (concurrency <= 1000))),
  constraint queues_lease_size_check CHECK (((lease_size >= 1) AND (lease_size <= 500))),
  constraint queues_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._:-]{0,99}\Z'::text)),
  constraint queues_on_dead_check CHECK ((on_dead = ANY (ARRAY['advance'::text, 'block'::text]))),
  constraint queues_per_worker_check CHECK (((per_worker >= 1) AND (per_worker <= 1000))),
  constraint queues_rate_burst_check CHECK (((rate_burst >= 1) AND (rate_burst <= 10000))),
  constraint queues_rate_per_second_check CHECK (((rate_per_second >= 0.01) AND (rate_per_second <= (10000)::numeric))),
  constraint queues_timeout_check CHECK (((timeout >= '00:00:01'::interval) AND (timeout <= '24:00:00'::interval))),
  constraint queues_name_key UNIQUE (name)
);

create unlogged table outbox.rate_windows (
  subject uuid not null,
  kind text not null,
  window_at timestamp with time zone not null,
  used bigint not null,
  constraint rate_windows_pkey PRIMARY KEY (subject, kind)
)
with (fillfactor=50);

create table outbox.ready (
  run_at timestamp with time zone not null,
  lane bigint not null,
  job_id uuid not null,
  queue_id integer not null,
  priority smallint not null,
  attempt smallint not null,
  no smallint not null,
  series smallint not null,
  constraint ready_pkey PRIMARY KEY (queue_id, lane, priority, run_at, job_id)
)
with (fillfactor=100, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=100000, autovacuum_analyze_scale_factor=0, autovacuum_analyze_threshold=50000, autovacuum_vacuum_cost_delay=0, vacuum_truncate=off);

create table outbox.retained (
  project_id uuid not null,
  upto uuid not null,
  constraint retained_pkey PRIMARY KEY (project_id)
);

create table outbox.routes (
  id uuid not null,
  team_id uuid,
  project_id uuid,
  pattern text collate "C" not null,
  queue_id integer not null,
  enabled boolean not null default true,
  contains jsonb,
  priority integer,
  delay interval,
  max_attempts integer,
  timeout interval,
  ordered boolean not null default true,
  created_at timestamp with time zone not null,
  created_by text,
  constraint routes_pkey PRIMARY KEY (id),
  constraint routes_check CHECK (((project_id IS NULL) OR (team_id IS NOT NULL))),
  constraint routes_contains_check CHECK ((jsonb_typeof(contains) = 'object'::text)),
  constraint routes_delay_check CHECK (((delay >= '00:00:00'::interval) AND (delay <= '366 days'::interval))),
  constraint routes_max_attempts_check CHECK (((max_attempts >= 1) AND (max_attempts <= 100))),
  constraint routes_priority_check CHECK (((priority >= '-100'::integer) AND (priority <= 100))),
  constraint routes_timeout_check CHECK (((timeout >= '00:00:01'::interval) AND (timeout <= '24:00:00'::interval))),
  constraint routes_project_id_team_id_fkey FOREIGN KEY (project_id, team_id) REFERENCES outbox.projects(id, team_id),
  constraint routes_queue_id_fkey FOREIGN KEY (queue_id) REFERENCES outbox.queues(id),
  constraint routes_team_id_fkey FOREIGN KEY (team_id) REFERENCES outbox.teams(id)
);

create table outbox.schedules (
  id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  name text not null,
  cron text not null,
  timezone text not null default 'UTC'::text,
  type text not null,
  payload jsonb not null default '{}'::jsonb,
  subject text,
  ordering_key text,
  enabled boolean not null default true,
  missed text not null default 'once'::text,
  missed_cap integer not null default 100,
  starts_at timestamp with time zone,
  ends_at timestamp with time zone,
  state text not null default 'active'::text,
  reason text,
  next_at timestamp with time zone,
  last_tick timestamp with time zone,
  revision integer not null default 1,
  key_id uuid,
  actor text,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint schedules_pkey PRIMARY KEY (id),
  constraint schedules_check CHECK ((ends_at > starts_at)),
  constraint schedules_check1 CHECK (((next_at IS NULL) = ((NOT enabled) OR (state = 'ended'::text)))),
  constraint schedules_cron_check CHECK (((char_length(cron) >= 1) AND (char_length(cron) <= 200))),
  constraint schedules_missed_cap_check CHECK (((missed_cap >= 1) AND (missed_cap <= 1000))),
  constraint schedules_missed_check CHECK ((missed = ANY (ARRAY['once'::text, 'skip'::text, 'all'::text]))),
  constraint schedules_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 120))),
  constraint schedules_ordering_key_check CHECK (((char_length(ordering_key) >= 1) AND (char_length(ordering_key) <= 255))),
  constraint schedules_reason_check CHECK ((char_length(reason) <= 100)),
  constraint schedules_state_check CHECK ((state = ANY (ARRAY['active'::text, 'suspended'::text, 'ended'::text]))),
  constraint schedules_subject_check CHECK ((char_length(subject) <= 255)),
  constraint schedules_timezone_check CHECK (((char_length(timezone) >= 1) AND (char_length(timezone) <= 64))),
  constraint schedules_type_check CHECK (((char_length(type) >= 1) AND (char_length(type) <= 255))),
  constraint schedules_project_id_team_id_fkey FOREIGN KEY (project_id, team_id) REFERENCES outbox.projects(id, team_id),
  constraint schedules_name UNIQUE (project_id, name)
)
with (fillfactor=80);

create table outbox.sessions (
  id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  identity bytea,
  platform_source text,
  external_id text,
  content_session_id text,
  agent_id text,
  agent_type text,
  metadata jsonb not null default '{}'::jsonb,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  reopened_at timestamp with time zone,
  end_count integer not null default 0,
  ended_events bigint not null default 0,
  ended_event uuid,
  summary_job uuid,
  summarized_at timestamp with time zone,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  summary_read_at timestamp with time zone,
  constraint sessions_pkey PRIMARY KEY (id),
  constraint sessions_identity_check CHECK ((octet_length(identity) = 32)),
  constraint sessions_project_id_team_id_fkey FOREIGN KEY (project_id, team_id) REFERENCES outbox.projects(id, team_id)
)
with (fillfactor=80);

create table outbox.settings (
  name text not null,
  value text not null,
  constraint settings_pkey PRIMARY KEY (name)
);

create table outbox.shares (
  queue_id integer not null,
  project_id uuid not null,
  weight integer not null default 1,
  paused boolean not null default false,
  paused_reason text,
  paused_by text,
  paused_until timestamp with time zone,
  constraint shares_pkey PRIMARY KEY (queue_id, project_id),
  constraint shares_weight_check CHECK (((weight >= 1) AND (weight <= 100))),
  constraint shares_project_id_fkey FOREIGN KEY (project_id) REFERENCES outbox.projects(id),
  constraint shares_queue_id_fkey FOREIGN KEY (queue_id) REFERENCES outbox.queues(id)
);

create table outbox.stream_epochs (
  project_id uuid not null,
  epoch character(8) not null,
  last_seq bigint not null,
  ended_at timestamp with time zone not null,
  constraint stream_epochs_pkey PRIMARY KEY (project_id, epoch)
);

create table outbox.stream_tokens (
  hash bytea not null,
  key_id uuid not null,
  team_id uuid not null,
  project_id uuid not null,
  types text[],
  session_id uuid,
  subject text,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone not null,
  constraint stream_tokens_pkey PRIMARY KEY (hash),
  constraint stream_tokens_hash_check CHECK ((octet_length(hash) = 32)),
  constraint stream_tokens_project_id_team_id_fkey FOREIGN KEY (project_id, team_id) REFERENCES outbox.projects(id, team_id)
);

create table outbox.streams (
  project_id uuid not null,
  head bigint not null default 0,
  floor bigint not null default 0,
  epoch character(8) not null,
  cluster text not null,
  sequenced_at timestamp with time zone not null,
  constraint streams_pkey PRIMARY KEY (project_id)
)
with (fillfactor=50);

create table outbox.teams (
  id uuid not null,
  name text not null,
  metadata jsonb not null default '{}'::jsonb,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  budgets jsonb not null default '{}'::jsonb,
  revision integer not null default 1,
  constraint teams_pkey PRIMARY KEY (id),
  constraint teams_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 120)))
);

create table outbox.unplaced (
  project_id uuid not null,
  first_seq bigint not null,
  last_seq bigint not null,
  sequenced_at timestamp with time zone not null,
  constraint unplaced_pkey PRIMARY KEY (project_id, first_seq)
);

create table outbox.usage_calls (
  id uuid not null,
  at timestamp with time zone not null,
  team_id uuid not null,
  project_id uuid not null,
  job_id uuid not null,
  provider text not null,
  model text not null,
  class text not null,
  tokens_in bigint not null,
  tokens_out bigint not null,
  estimated boolean not null,
  cost_micros bigint,
  ms integer not null,
  observations integer not null default 0,
  constraint usage_calls_pkey PRIMARY KEY (id)
);

create table outbox.usage_closed (
  upto timestamp with time zone not null
);

create table outbox.usage_hours (
  scope_id uuid not null,
  hour timestamp with time zone not null,
  calls bigint not null,
  tokens bigint not null,
  cost_micros bigint not null,
  constraint usage_hours_pkey PRIMARY KEY (scope_id, hour)
);

create table outbox.usage_months (
  team_id uuid not null,
  project_id uuid,
  month date not null,
  kind text not null,
  model text not null default ''::text,
  amount bigint not null
);

create table outbox.usage_requests (
  team_id uuid not null,
  project_id uuid,
  day date not null,
  requests bigint not null,
  refused bigint not null default 0
);

create table outbox.workers (
  id uuid not null,
  name text not null,
  kind text not null,
  host text,
  pid integer,
  version text,
  handlers text[] not null,
  queues text[],
  slots integer not null default 0,
  running integer not null default 0,
  team_id uuid,
  project_id uuid,
  key_id uuid,
  lock_no integer not null,
  incarnation text,
  beat_every interval not null,
  beats boolean not null default true,
  lease_for interval,
  writes text[] not null default '{}'::text[],
  started_at timestamp with time zone not null,
  beat_at timestamp with time zone not null,
  draining boolean not null default false,
  fenced_at timestamp with time zone,
  cancelled uuid[] not null default '{}'::uuid[],
  login text,
  project_ids uuid[],
  constraint workers_pkey PRIMARY KEY (id),
  constraint workers_kind_check CHECK ((kind = ANY (ARRAY['daemon'::text, 'pull'::text, 'sql'::text]))),
  constraint workers_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 120)))
)
with (fillfactor=50);

CREATE INDEX attempts_at ON ONLY outbox.attempts USING brin (at);
CREATE INDEX audit_log_resource ON ONLY outbox.audit_log USING btree (resource_id, id);
CREATE INDEX audit_log_team ON ONLY outbox.audit_log USING btree (team_id, id);
CREATE INDEX console_sessions_expiry ON outbox.console_sessions USING btree (expires_at);
CREATE INDEX console_sessions_key ON outbox.console_sessions USING btree (key_id, opened_at);
CREATE INDEX dead_letters_failed ON outbox.dead_letters USING btree (failed_at);
CREATE INDEX dead_letters_project ON outbox.dead_letters USING btree (project_id, job_id);
CREATE INDEX dead_letters_queue ON outbox.dead_letters USING btree (queue_id, failed_at);
CREATE INDEX endpoint_secrets_endpoint ON outbox.endpoint_secrets USING btree (endpoint_id, created_at);
CREATE INDEX endpoint_secrets_expiry ON outbox.endpoint_secrets USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX endpoints_project ON outbox.endpoints USING btree (project_id, id);
CREATE UNIQUE INDEX endpoints_queue ON outbox.endpoints USING btree (queue_id);
CREATE UNIQUE INDEX endpoints_uid ON outbox.endpoints USING btree (project_id, uid) WHERE (uid IS NOT NULL);
CREATE INDEX event_keys_expiry ON outbox.event_keys USING btree (expires_at);
CREATE INDEX events_project ON ONLY outbox.events USING btree (project_id, id);
CREATE INDEX events_session ON ONLY outbox.events USING btree (session_id, id) WHERE (session_id IS NOT NULL);
CREATE INDEX feed_event ON ONLY outbox.feed USING btree (event_id);
CREATE UNIQUE INDEX gatherings_job ON outbox.gatherings USING btree (job_id);
CREATE INDEX gatherings_session ON outbox.gatherings USING btree (session_id) WHERE (session_id IS NOT NULL);
CREATE INDEX idempotency_expiry ON outbox.idempotency USING btree (expires_at);
CREATE INDEX interactions_ended ON outbox.interactions USING btree (ended_at) WHERE (state <> 'pending'::text);
CREATE INDEX interactions_expiry ON outbox.interactions USING btree (expires_at) WHERE (state = 'pending'::text);
CREATE INDEX interactions_pending ON outbox.interactions USING btree (project_id, connection_id, created_at) WHERE (state = 'pending'::text);
CREATE INDEX interactions_project ON outbox.interactions USING btree (project_id, created_at, id);
CREATE INDEX job_keys_job ON outbox.job_keys USING btree (job_id);
CREATE INDEX jobs_deliveries ON ONLY outbox.jobs USING btree (queue_id, id) WHERE ((event_id IS NOT NULL) AND (deadline IS NOT NULL));
CREATE INDEX jobs_event ON ONLY outbox.jobs USING btree (event_id) WHERE (event_id IS NOT NULL);
CREATE INDEX jobs_project ON ONLY outbox.jobs USING btree (project_id, id);
CREATE INDEX jobs_session ON ONLY outbox.jobs USING btree (session_id) WHERE (session_id IS NOT NULL);
CREATE INDEX keys_team ON outbox.keys USING btree (team_id, created_at);
CREATE INDEX lanes_blocked ON outbox.lanes USING btree (queue_id, id) WHERE (blocked_by IS NOT NULL);
CREATE INDEX lanes_due ON outbox.lanes USING btree (queue_id, due_at) WHERE ((lease_id IS NULL) AND (blocked_by IS NULL));
CREATE INDEX later_held ON outbox.later USING btree (held, lane) WHERE (held IS NOT NULL);
CREATE INDEX later_job ON outbox.later USING btree (job_id);
CREATE INDEX later_queue ON outbox.later USING btree (queue_id, run_at);
CREATE INDEX leases_queue ON outbox.leases USING btree (queue_id);
CREATE INDEX leases_worker ON outbox.leases USING btree (worker_id);
CREATE INDEX members_event ON outbox.members USING btree (event_id);
CREATE INDEX observation_sources_source ON outbox.observation_sources USING btree (source_id, observation_id);
CREATE UNIQUE INDEX observations_generation ON outbox.observations USING btree (project_id, generation_key) WHERE (generation_key IS NOT NULL);
CREATE UNIQUE INDEX observations_idempotency ON outbox.observations USING btree (project_id, idempotency_key) WHERE (idempotency_key IS NOT NULL);
CREATE INDEX observations_job ON outbox.observations USING btree (job_id) WHERE (job_id IS NOT NULL);
CREATE INDEX observations_kind ON outbox.observations USING btree (project_id, kind, created_at);
CREATE INDEX observations_recent ON outbox.observations USING btree (project_id, created_at, id);
CREATE INDEX observations_search ON outbox.observations USING gin (search) WITH (fastupdate=off);
CREATE INDEX observations_session ON outbox.observations USING btree (session_id, created_at) WHERE (session_id IS NOT NULL);
CREATE INDEX outboxevent_open ON outbox.outboxevent USING btree (n) WHERE (refused_at IS NULL);
CREATE INDEX pending_event ON outbox.pending USING btree (event_id);
CREATE UNIQUE INDEX projects_name ON outbox.projects USING btree (team_id, lower(name));
CREATE INDEX purges_unfinished ON outbox.purges USING btree (project_id) WHERE (step < 5);
CREATE INDEX queues_handler ON outbox.queues USING btree (handler);
CREATE INDEX queues_made_by ON outbox.queues USING btree (made_by) WHERE (made_by IS NOT NULL);
CREATE INDEX ready_job ON outbox.ready USING btree (job_id);
CREATE INDEX routes_pattern ON outbox.routes USING btree (pattern);
CREATE INDEX routes_scope ON outbox.routes USING btree (project_id, team_id);
CREATE INDEX schedules_due ON outbox.schedules USING btree (next_at) WHERE (state = 'active'::text);
CREATE INDEX schedules_project ON outbox.schedules USING btree (project_id, id);
CREATE INDEX schedules_suspended ON outbox.schedules USING btree (next_at) WHERE (state = 'suspended'::text);
CREATE INDEX sessions_content ON outbox.sessions USING btree (project_id, content_session_id, created_at) WHERE (content_session_id IS NOT NULL);
CREATE UNIQUE INDEX sessions_identity ON outbox.sessions USING btree (project_id, identity) WHERE (identity IS NOT NULL);
CREATE INDEX sessions_open ON outbox.sessions USING btree (project_id, id) WHERE (ended_at IS NULL);
CREATE INDEX sessions_project ON outbox.sessions USING btree (project_id, id);
CREATE INDEX sessions_started ON outbox.sessions USING btree (project_id, started_at, id);
CREATE INDEX stream_tokens_expiry ON outbox.stream_tokens USING btree (expires_at);
CREATE INDEX stream_tokens_key ON outbox.stream_tokens USING btree (key_id, expires_at);
CREATE UNIQUE INDEX teams_name ON outbox.teams USING btree (lower(name));
CREATE INDEX usage_calls_at ON outbox.usage_calls USING brin (at);
CREATE INDEX usage_calls_job ON outbox.usage_calls USING btree (job_id);
CREATE INDEX usage_calls_project ON outbox.usage_calls USING btree (project_id, at);
CREATE INDEX usage_calls_provider ON outbox.usage_calls USING btree (provider, at);
CREATE INDEX usage_calls_team ON outbox.usage_calls USING btree (team_id, at);
CREATE UNIQUE INDEX usage_months_scope ON outbox.usage_months USING btree (team_id, month, kind, model, COALESCE(project_id, '00000000-0000-0000-0000-000000000000'::uuid));
CREATE UNIQUE INDEX usage_requests_scope ON outbox.usage_requests USING btree (team_id, day, COALESCE(project_id, '00000000-0000-0000-0000-000000000000'::uuid));
CREATE UNIQUE INDEX workers_pull ON outbox.workers USING btree (key_id, name) WHERE (kind = 'pull'::text);
CREATE INDEX workers_team ON outbox.workers USING btree (team_id) WHERE (team_id IS NOT NULL);

-- function outbox.action_fits(p_action text, p_wanted text) returns boolean immutable
-- function outbox.add_endpoint_key(p_endpoint uuid, p_kind text, p_sealed bytea, p_public text) returns void volatile
-- function outbox.add_handler(p_caller outbox.caller, p_name text, p_open boolean DEFAULT true) returns boolean volatile security definer
-- function outbox.add_route(p_caller outbox.caller, p_pattern text, p_queue text, p_project uuid DEFAULT NULL::uuid, p_options jsonb DEFAULT '{}'::jsonb) returns uuid volatile security definer
-- function outbox.add_schedule(p_caller outbox.caller, p_project uuid, p_fields jsonb, p_at timestamp with time zone, p_next timestamp with time zone) returns uuid volatile
-- function outbox.admit(p_caller outbox.caller) returns outbox.caller stable
-- function outbox.advance_lane(p_lane bigint) returns void volatile
-- function outbox.allow_egress(p_caller outbox.caller, p_project uuid, p_on boolean) returns boolean volatile
-- function outbox.announce(p_project uuid, p_type text, p_payload jsonb) returns void volatile
-- function outbox.answer(p_id text, p_project uuid, p_connection text, p_actor text, p_answer jsonb, p_digest text DEFAULT NULL::text, p_caller outbox.caller DEFAULT outbox.me()) returns TABLE(outcome text, interaction_id text, answer_event_id uuid, answer jsonb) volatile security definer
-- function outbox.answer_outcome(p_row outbox.interactions, p_actor text, p_answer jsonb, p_digest bytea) returns text volatile
-- function outbox.append_to_lanes(p_project uuid, p_jobs outbox.placeable[]) returns TABLE(queue text, handler text, n integer) volatile
-- function outbox.ask(p_project uuid, p_connection text, p_actor text, p_prompt jsonb, p_id text DEFAULT NULL::text, p_kind text DEFAULT 'question'::text, p_options jsonb DEFAULT NULL::jsonb, p_free_text boolean DEFAULT NULL::boolean, p_context jsonb DEFAULT '{}'::jsonb, p_ttl interval DEFAULT '24:00:00'::interval, p_session uuid DEFAULT NULL::uuid, p_max_uses integer DEFAULT NULL::integer, p_traceparent text DEFAULT NULL::text, p_caller outbox.caller DEFAULT outbox.me()) returns TABLE(interaction_id text, state text, digest text, created_at timestamp with time zone, expires_at timestamp with time zone, answered_at timestamp with time zone, answered_by text, answer jsonb, answer_event_id uuid, ended_reason text, duplicate boolean) volatile security definer
-- function outbox.asked_by(p_request text, p_actor text, p_key uuid, p_filter jsonb) returns boolean immutable
-- function outbox.asking_project(p_caller outbox.caller, p_project uuid, p_session uuid) returns outbox.projects stable
-- function outbox.audit(p_caller outbox.caller, p_action text, p_resource_type text, p_resource text, p_team uuid, p_project uuid, p_details jsonb DEFAULT '{}'::jsonb) returns void volatile
-- function outbox.audit_bulk(p_caller outbox.caller, p_action text, p_filter jsonb, p_bulk outbox.bulk, p_more jsonb DEFAULT '{}'::jsonb) returns void volatile
-- function outbox.audit_chain(p_event uuid, p_job uuid, p_resource text) returns SETOF outbox.trail stable
-- function outbox.audit_change(p_caller outbox.caller, p_noun text, p_resource uuid, p_team uuid, p_project uuid, p_old jsonb, p_new jsonb) returns void volatile
-- function outbox.audit_interaction(p_caller outbox.caller, p_row outbox.interactions, p_action text, p_details jsonb DEFAULT '{}'::jsonb) returns void volatile
-- function outbox.audit_job(p_caller outbox.caller, p_job outbox.jobs, p_verb text, p_details jsonb) returns void volatile
-- function outbox.audit_page(p_caller outbox.caller, p_filter jsonb, p_before uuid, p_limit integer) returns SETOF outbox.trail stable
-- function outbox.audit_session(p_caller outbox.caller, p_session outbox.sessions, p_action text, p_reason text DEFAULT NULL::text) returns void volatile
-- function outbox.audit_window(p_team uuid, p_projects uuid[], p_whole boolean, p_filter jsonb, p_from timestamp with time zone, p_to timestamp with time zone, p_limit integer) returns SETOF outbox.trail stable
-- function outbox.authorize(p_key uuid, p_scope text, p_request text DEFAULT NULL::text) returns outbox.caller stable
-- function outbox.backoff(p_attempt integer, p_policy jsonb, p_u double precision) returns interval immutable
-- function outbox.beat(p_worker uuid, p_running integer DEFAULT 0) returns TABLE(alive boolean, cancelled uuid[], db_now timestamp with time zone) volatile security definer
-- function outbox.begin_call(p_call uuid, p_job uuid, p_providers text[], p_models text[], p_estimate bigint) returns TABLE(provider text, model text, troubled boolean, held text, wait interval) volatile
-- function outbox.begin_purge(p_caller outbox.caller, p_project uuid) returns outbox.purges volatile
-- function outbox.bigrams(p_text text, p_closed boolean) returns text immutable
-- function outbox.blank_events(p_events uuid[], p_unlink boolean, p_now timestamp with time zone) returns integer volatile
-- function outbox.budget_gate(p_project uuid, p_tokens bigint DEFAULT 0, p_cost bigint DEFAULT 0) returns TABLE(closed text, until timestamp with time zone) volatile
-- function outbox.budgets_of(p_project uuid) returns TABLE(scope text, scope_id uuid, budget text, cap bigint, period timestamp with time zone, period_end timestamp with time zone, spent bigint) stable
-- function outbox.bulk_done(p_dry_run boolean, p_matched integer, p_picked uuid[], p_done integer, p_from timestamp with time zone DEFAULT NULL::timestamp with time zone, p_rate numeric DEFAULT NULL::numeric) returns outbox.bulk volatile
-- function outbox.bulk_states(p_filter jsonb, p_default text[], p_allowed text[]) returns text[] volatile
-- function outbox.caller_of(p_who jsonb) returns outbox.caller stable
-- function outbox.caller_project(p_caller outbox.caller, p_project uuid) returns outbox.projects stable
-- function outbox.cancel(p_caller outbox.caller, p_job uuid, p_reason text DEFAULT NULL::text) returns TABLE(before text, after text) volatile security definer
-- function outbox.cancel_many(p_caller outbox.caller, p_filter jsonb, p_limit integer DEFAULT 1000, p_dry_run boolean DEFAULT false, p_reason text DEFAULT NULL::text) returns outbox.bulk volatile security definer
-- function outbox.candidates(p_type text) returns text[] immutable
-- function outbox.carry_epoch(p_stream outbox.streams) returns outbox.streams volatile
-- function outbox.cause_of(p_job uuid, p_now timestamp with time zone) returns jsonb stable
-- function outbox.change_endpoint(p_caller outbox.caller, p_id uuid, p_fields jsonb, p_queue jsonb, p_headers bytea) returns void volatile
-- function outbox.change_memory(p_caller outbox.caller, p_memory uuid, p_changes jsonb, p_revision integer DEFAULT NULL::integer) returns uuid volatile
-- function outbox.change_project(p_caller outbox.caller, p_project uuid, p_changes jsonb, p_revision integer DEFAULT NULL::integer) returns outbox.projects volatile
-- function outbox.change_route(p_caller outbox.caller, p_route uuid, p_options jsonb) returns void volatile security definer
-- function outbox.change_schedule(p_caller outbox.caller, p_schedule uuid, p_fields jsonb, p_next timestamp with time zone) returns void volatile
-- function outbox.change_team(p_caller outbox.caller, p_team uuid, p_changes jsonb, p_revision integer DEFAULT NULL::integer) returns outbox.teams volatile
-- function outbox.check_answer(p_answer jsonb, p_digest text) returns text immutable
-- function outbox.check_budgets(p_budgets jsonb) returns void immutable
-- function outbox.check_changes(p_changes jsonb, p_known text[]) returns void volatile
-- function outbox.check_filter(p_filter jsonb) returns void volatile
-- function outbox.check_handler(p_name text) returns void stable
-- function outbox.check_incoming(p_row outbox.incoming, p_now timestamp with time zone, p_which text) returns void stable
-- function outbox.check_interaction(p_row outbox.interactions, p_ttl interval) returns void immutable
-- function outbox.check_job(p_job outbox.jobs, p_options jsonb, p_now timestamp with time zone) returns void volatile
-- function outbox.check_new_key(p_caller outbox.caller, p_team uuid, p_project uuid, p_scopes text[], p_name text, p_expires_at timestamp with time zone, p_now timestamp with time zone) returns void stable
-- function outbox.check_project_settings(p_settings jsonb) returns void stable
-- function outbox.check_recovery(p_endpoint outbox.endpoints, p_since timestamp with time zone, p_until timestamp with time zone, p_only text, p_types text[], p_rate numeric) returns void volatile
-- function outbox.check_route(p_route outbox.routes) returns void volatile
-- function outbox.check_schedule(p_row outbox.schedules) returns void stable
-- function outbox.check_setting_names(p_settings jsonb) returns void immutable
-- function outbox.check_settings(p_settings jsonb) returns void volatile
-- function outbox.choose_project(p_project uuid, p_mine uuid[]) returns uuid stable
-- function outbox.cjk() returns text immutable
-- function outbox.claim(p_worker uuid, p_limit integer, p_spots outbox.spot[] DEFAULT NULL::outbox.spot[], p_lease interval DEFAULT NULL::interval) returns SETOF outbox.claimed volatile security definer
-- function outbox.claim_interaction(p_caller outbox.caller, p_id text, p_project uuid, p_connection text, p_actor text, p_answer jsonb, p_digest bytea) returns outbox.interactions volatile
-- function outbox.claim_job_key(p_job outbox.jobs) returns uuid volatile
-- function outbox.claim_lanes(p_spots outbox.spot[], p_limit integer, p_now timestamp with time zone, p_projects uuid[] DEFAULT NULL::uuid[]) returns outbox.ready[] volatile
-- function outbox.claim_lease(p_worker outbox.workers, p_rows outbox.ready[], p_now timestamp with time zone) returns SETOF outbox.claimed volatile
-- function outbox.claim_live(p_rows outbox.ready[], p_now timestamp with time zone) returns outbox.ready[] volatile
-- function outbox.claim_over(p_rows outbox.ready[], p_now timestamp with time zone) returns outbox.settling[] volatile
-- function outbox.claim_ready(p_spots outbox.spot[], p_limit integer, p_now timestamp with time zone) returns outbox.ready[] volatile
-- function outbox.claim_replies(p_claims jsonb) returns TABLE(n integer, state text, status integer, reply jsonb) volatile
-- function outbox.claim_room(p_worker outbox.workers, p_spots outbox.spot[], p_now timestamp with time zone) returns outbox.spot[] volatile
-- function outbox.claims_from(p_worker outbox.workers, p_queue outbox.queues, p_now timestamp with time zone) returns boolean stable
-- function outbox.clear_job(p_jobs uuid[]) returns void volatile
-- function outbox.clock() returns timestamp with time zone stable
-- function outbox.close_breaker(p_endpoint outbox.endpoints, p_quiet boolean) returns void volatile
-- function outbox.close_console(p_caller outbox.caller, p_hash bytea) returns boolean volatile
-- function outbox.close_gathering(p_job uuid) returns boolean volatile
-- function outbox.close_lanes(p_jobs uuid[]) returns void volatile
-- function outbox.close_leases(p_items outbox.settling[]) returns void volatile
-- function outbox.close_session(p_caller outbox.caller, p_session outbox.sessions, p_reason text DEFAULT NULL::text) returns TABLE(job_id uuid, ended boolean) volatile
-- function outbox.close_usage() returns void volatile
-- function outbox.cluster() returns text stable
-- function outbox.conclude(p_items outbox.settling[], p_now timestamp with time zone) returns void volatile
-- function outbox.configure_queue(p_caller outbox.caller, p_queue text, p_settings jsonb) returns outbox.queues volatile security definer
-- function outbox.console_until(p_opened timestamp with time zone, p_used timestamp with time zone) returns timestamp with time zone immutable
-- function outbox.continue_purge(p_project uuid, p_limit integer DEFAULT 5000) returns outbox.purges volatile
-- function outbox.count_owed(p_endpoint outbox.endpoints, p_range int8range, p_only text, p_types text[]) returns TABLE(matched integer, exact boolean, oldest timestamp with time zone, newest timestamp with time zone) stable
-- function outbox.dead_leases(p_limit integer) returns uuid[] volatile
-- function outbox.decide(p_items outbox.settling[], p_now timestamp with time zone) returns outbox.settling[] volatile
-- function outbox.delete_memory(p_caller outbox.caller, p_memory uuid, p_expunge boolean DEFAULT false) returns integer volatile
-- function outbox.delete_session(p_caller outbox.caller, p_session uuid, p_limit integer DEFAULT 5000) returns boolean volatile
-- function outbox.delivered(p_event uuid, p_received timestamp with time zone, p_queue integer, p_only text) returns boolean stable
-- function outbox.deny_interaction(p_caller outbox.caller, p_id text, p_project uuid, p_connection text, p_actor text DEFAULT NULL::text) returns void volatile
-- function outbox.disable_endpoint(p_endpoint uuid, p_trigger text, p_class text DEFAULT NULL::text, p_status integer DEFAULT NULL::integer, p_quiet boolean DEFAULT false) returns boolean volatile
-- function outbox.disable_schedule(p_caller outbox.caller, p_schedule uuid) returns boolean volatile security definer
-- function outbox.drain_outboxevents(p_limit integer) returns TABLE(n bigint, status integer, project_id uuid, jobs jsonb) volatile
-- function outbox.drop_observations(p_project uuid, p_observations uuid[]) returns integer volatile
-- function outbox.due_for(p_workers uuid[], p_queues integer[]) returns SETOF integer volatile
-- function outbox.due_queues(p_worker uuid, p_now timestamp with time zone) returns integer[] volatile
-- function outbox.due_schedule(p_without uuid[] DEFAULT '{}'::uuid[]) returns SETOF outbox.schedules volatile
-- function outbox.effective_scopes(p_scopes text[]) returns text[] immutable
-- function outbox.enable_endpoint(p_endpoint uuid) returns boolean volatile
-- function outbox.end_deliveries(p_limit integer) returns integer volatile
-- function outbox.end_each(p_jobs uuid[], p_now timestamp with time zone) returns integer volatile
-- function outbox.end_idle_sessions(p_limit integer DEFAULT 500, p_after uuid DEFAULT NULL::uuid, p_upto uuid DEFAULT NULL::uuid) returns TABLE(session_id uuid, project_id uuid, job_id uuid) volatile
-- function outbox.end_jobs(p_caller outbox.caller, p_items outbox.settling[], p_outcome text, p_reason text, p_now timestamp with time zone) returns void volatile
-- function outbox.end_key(p_caller outbox.caller, p_key uuid, p_reason text DEFAULT NULL::text) returns outbox.keys volatile
-- function outbox.end_over(p_job uuid, p_now timestamp with time zone) returns integer volatile
-- function outbox.end_session(p_caller outbox.caller, p_session uuid, p_reason text DEFAULT NULL::text) returns TABLE(job_id uuid, ended boolean) volatile
-- function outbox.endpoint_queue(p_queue integer, p_settings jsonb) returns void volatile
-- function outbox.enlist(p_name text, p_handlers text[], p_queues text[] DEFAULT NULL::text[], p_options jsonb DEFAULT '{}'::jsonb) returns TABLE(worker_id uuid, lock_no integer, beat_every interval, dead_after interval) volatile security definer
-- function outbox.enqueue(p_caller outbox.caller, p_queue text, p_payload jsonb DEFAULT '{}'::jsonb, p_project uuid DEFAULT NULL::uuid, p_options jsonb DEFAULT '{}'::jsonb) returns TABLE(job_id uuid, duplicate boolean) volatile security definer
-- function outbox.event_bounds() returns TABLE(low timestamp with time zone, high timestamp with time zone) stable
-- function outbox.event_timeline(p_event uuid, p_audit boolean, p_limit integer) returns TABLE(at timestamp with time zone, kind text, said jsonb) stable
-- function outbox.expire(p_limit integer DEFAULT 1000) returns integer volatile
-- function outbox.expire_interactions(p_limit integer DEFAULT 1000) returns SETOF text volatile security definer
-- function outbox.expunge(p_caller outbox.caller, p_event uuid) returns TABLE(observations integer, jobs integer) volatile security definer
-- function outbox.expunge_event(p_caller outbox.caller, p_event uuid, p_keep boolean DEFAULT false) returns TABLE(observations integer, jobs integer) volatile
-- function outbox.expunge_events(p_caller outbox.caller, p_project uuid, p_events uuid[]) returns TABLE(events integer, jobs integer) volatile
-- function outbox.extend(p_worker uuid, p_lease uuid, p_for interval, p_jobs uuid[] DEFAULT NULL::uuid[]) returns timestamp with time zone volatile security definer
-- function outbox.failure_figures() returns TABLE(queue text, handler text, class text, status integer, error_head text, attempts bigint, jobs bigint, first_at timestamp with time zone, last_at timestamp with time zone, sample_job uuid) stable security definer
-- function outbox.feed_before(p_project uuid, p_at timestamp with time zone) returns bigint stable
-- function outbox.fence(p_worker uuid, p_lease uuid, p_job uuid) returns boolean volatile security definer
-- function outbox.fence_dead() returns void volatile
-- function outbox.fill_session(p_caller outbox.caller, p_old outbox.sessions, p_given outbox.sessions, p_reopen boolean) returns void volatile
-- function outbox.filter_time(p_value jsonb) returns timestamp with time zone stable
-- function outbox.find_job(p_caller outbox.caller, p_job uuid) returns outbox.jobs stable
-- function outbox.find_key(p_caller outbox.caller, p_key uuid) returns outbox.keys volatile
-- function outbox.find_memory(p_caller outbox.caller, p_memory uuid) returns outbox.observations volatile
-- function outbox.find_project(p_caller outbox.caller, p_project uuid) returns outbox.projects stable
-- function outbox.find_queue(p_name text) returns outbox.queues stable
-- function outbox.find_route(p_caller outbox.caller, p_route uuid) returns outbox.routes volatile
-- function outbox.fingerprint(p_type text, p_subject text, p_payload jsonb) returns bytea immutable
-- function outbox.forget(p_caller outbox.caller, p_project uuid, p_filter jsonb, p_expunge boolean DEFAULT false, p_dry_run boolean DEFAULT false, p_limit integer DEFAULT 1000) returns TABLE(matched integer, deleted integer, expunged_events integer, sample uuid[]) volatile
-- function outbox.forget_endpoint(p_end outbox.endpoint_ends, p_now timestamp with time zone) returns void volatile
-- function outbox.gather(p_batch outbox.unplaced, p_last bigint) returns integer volatile
-- function outbox.gathered_of(p_project outbox.projects, p_batch outbox.unplaced, p_last bigint, p_now timestamp with time zone) returns outbox.gathered[] volatile
-- function outbox.generation_events(p_job outbox.jobs, p_purged_at timestamp with time zone, p_whoever boolean) returns TABLE(foreign_rows integer, foreign_ids jsonb, events integer, allowed integer, revoked integer, revoked_keys uuid[], key_id uuid, session_id uuid, platform text, seen jsonb) stable
-- function outbox.generation_work(p_jobs uuid[]) returns TABLE(job_id uuid, team_id uuid, project_id uuid, session_id uuid, project text, problem text, found jsonb, provider text, model text, max_output_tokens integer, types text[], dedupe boolean, redact text, platform text, agent_type text, revoked integer, revoked_keys uuid[], events jsonb) stable
-- function outbox.has_operators(p_query text) returns boolean immutable
-- function outbox.has_token(p_queue outbox.queues, p_now timestamp with time zone) returns boolean stable
-- function outbox.hasten(p_jobs uuid[], p_rate numeric, p_from integer, p_now timestamp with time zone) returns integer volatile
-- function outbox.hasten_gathered(p_open outbox.gatherings, p_group outbox.gathered, p_to integer, p_full boolean) returns boolean volatile
-- function outbox.hasten_gathering(p_session uuid) returns integer volatile
-- function outbox.hasten_lanes(p_jobs uuid[], p_lanes bigint[], p_now timestamp with time zone) returns void volatile
-- function outbox.head_lanes(p_items outbox.settling[]) returns void volatile
-- function outbox.heard(p_worker uuid) returns void volatile
-- function outbox.hire(p_caller outbox.caller, p_name text, p_queue text, p_limit integer, p_lease interval) returns TABLE(worker_id uuid, queue_id integer, handler text, paused boolean) volatile
-- function outbox.hold() returns interval stable
-- function outbox.hold_endpoint(p_endpoint uuid) returns void volatile
-- function outbox.hold_session(p_caller outbox.caller, p_session uuid) returns outbox.sessions volatile
-- function outbox.holder(p_caller outbox.caller, p_lease uuid, p_jobs uuid[] DEFAULT NULL::uuid[]) returns uuid volatile
-- function outbox.idle_sessions(p_limit integer, p_after uuid, p_upto uuid) returns TABLE(session_id uuid, quiet_since timestamp with time zone) stable
-- function outbox.import_endpoints(p_whose jsonb, p_rows jsonb) returns integer volatile
-- function outbox.import_events(p_whose jsonb, p_rows jsonb) returns integer volatile
-- function outbox.import_keys(p_caller outbox.caller, p_rows jsonb) returns integer volatile
-- function outbox.import_known(p_kind text, p_ids uuid[]) returns integer stable
-- function outbox.import_observations(p_whose jsonb, p_rows jsonb) returns integer volatile
-- function outbox.import_project(p_caller outbox.caller, p_team jsonb, p_project jsonb, p_by_name boolean DEFAULT true) returns TABLE(project_id uuid, team_id uuid, made boolean) volatile
-- function outbox.import_rows(p_caller outbox.caller, p_project uuid, p_kind text, p_rows jsonb) returns integer volatile
-- function outbox.import_sessions(p_whose jsonb, p_rows jsonb) returns integer volatile
-- function outbox.import_team(p_caller outbox.caller, p_team jsonb, p_by_name boolean) returns uuid volatile
-- function outbox.incarnation() returns text stable
-- function outbox.incoming_of(p_event jsonb, p_project uuid, p_ord integer) returns outbox.incoming stable
-- function outbox.incoming_of_outboxevent(p_row outbox.outboxevent, p_ord integer, p_now timestamp with time zone) returns outbox.incoming stable
-- function outbox.ingest(p_rows outbox.incoming[], p_again boolean DEFAULT false) returns TABLE(ord integer, unit integer, status integer, event_id uuid, duplicate boolean, differs boolean, error text, code text, own boolean, received_at timestamp with time zone, jobs jsonb, session_id uuid, deferred boolean) volatile
-- function outbox.ingest_apart(p_rows outbox.incoming[]) returns jsonb volatile
-- function outbox.ingest_events(p_rows outbox.incoming[], p_sessions uuid[], p_now timestamp with time zone) returns void volatile
-- function outbox.ingest_jobs(p_rows outbox.incoming[], p_policies text[], p_sessions uuid[], p_now timestamp with time zone) returns TABLE(ord integer, keyed uuid[], jobs jsonb) volatile
-- function outbox.ingest_keys(p_rows outbox.incoming[], p_refused integer[], p_now timestamp with time zone) returns outbox.verdict[] volatile
-- function outbox.ingest_policies(p_rows outbox.incoming[]) returns text[] volatile
-- function outbox.ingest_refuse(p_rows outbox.incoming[], p_now timestamp with time zone) returns outbox.verdict[] volatile
-- function outbox.ingest_routes(p_project uuid, p_team uuid, p_type text, p_payload jsonb) returns SETOF outbox.routes stable
-- function outbox.ingest_sessions(p_rows outbox.incoming[]) returns uuid[] volatile
-- function outbox.ingest_unwind(p_rows outbox.incoming[], p_verdicts outbox.verdict[]) returns outbox.verdict[] volatile
-- function outbox.interaction_event(p_caller outbox.caller, p_row outbox.interactions, p_type text, p_payload jsonb, p_id uuid DEFAULT NULL::uuid) returns outbox.incoming volatile
-- function outbox.interaction_state(p_row outbox.interactions) returns text stable
-- function outbox.interaction_told(p_row outbox.interactions) returns jsonb immutable
-- function outbox.is_daemon() returns boolean stable
-- function outbox.is_operational(p_event uuid) returns boolean stable
-- function outbox.job_of(p_payload jsonb, p_options jsonb, p_now timestamp with time zone) returns outbox.jobs volatile
-- function outbox.job_state(p_job uuid) returns TABLE(state text, place text, queue_id integer, run_at timestamp with time zone, lane bigint, attempt integer, no integer, series integer, held text, lease_id uuid, worker_id uuid, since timestamp with time zone, outcome text, class text) stable
-- function outbox.jobs_in(p_states text[], p_ids uuid[]) returns TABLE(job_id uuid, state text, class text, failed_at timestamp with time zone) stable
-- function outbox.join_gathering(p_group outbox.gathered) returns integer volatile
-- function outbox.keep_interaction(p_row outbox.interactions) returns outbox.interactions volatile
-- function outbox.keep_reply(p_claim jsonb, p_status integer, p_reply jsonb, p_lives interval) returns void volatile
-- function outbox.key_revoked(p_key uuid) returns boolean stable
-- function outbox.lanes_of(p_jobs uuid[]) returns bigint[] volatile
-- function outbox.lanes_within(p_spots outbox.spot[], p_projects uuid[], p_limit integer, p_now timestamp with time zone) returns bigint[] volatile
-- function outbox.lease_items(p_lease uuid, p_jobs uuid[], p_outcome text, p_class text) returns outbox.settling[] volatile
-- function outbox.like_of(p_globs jsonb) returns text[] immutable
-- function outbox.live_worker(p_worker uuid) returns outbox.workers volatile
-- function outbox.living_sources(p_job outbox.jobs, p_events uuid[]) returns uuid[] stable
-- function outbox.lock_endpoint(p_caller outbox.caller, p_id uuid, p_hold boolean DEFAULT true) returns outbox.endpoints volatile
-- function outbox.lock_job(p_job outbox.jobs, p_open boolean DEFAULT false) returns record volatile
-- function outbox.lock_lanes(p_jobs uuid[]) returns bigint[] volatile
-- function outbox.lock_memory(p_project uuid) returns void volatile
-- function outbox.lock_place(p_job outbox.jobs, p_state text, p_place text, p_lease uuid, p_open boolean) returns void volatile
-- function outbox.lock_schedule(p_caller outbox.caller, p_schedule uuid, p_revision integer DEFAULT NULL::integer) returns outbox.schedules volatile
-- function outbox.longest_kept() returns interval stable security definer
-- function outbox.look(p_worker uuid, p_queue text DEFAULT NULL::text, p_after outbox.spot DEFAULT NULL::outbox.spot, p_limit integer DEFAULT 200) returns SETOF outbox.spot volatile security definer
-- function outbox.look_projects(p_queue outbox.queues, p_projects uuid[], p_after bigint, p_limit integer, p_now timestamp with time zone) returns SETOF outbox.spot volatile
-- function outbox.look_queue(p_queue outbox.queues, p_after bigint, p_limit integer, p_now timestamp with time zone, p_projects uuid[] DEFAULT NULL::uuid[]) returns SETOF outbox.spot volatile
-- function outbox.lost_before(p_job uuid, p_no integer) returns boolean stable
-- function outbox.make_deliveries(p_endpoint outbox.endpoints, p_events uuid[], p_priority integer, p_from timestamp with time zone, p_rate numeric) returns uuid[] volatile
-- function outbox.make_partitions(p_ahead integer DEFAULT 3) returns integer volatile
-- function outbox.make_project(p_caller outbox.caller, p_team uuid, p_name text, p_metadata jsonb DEFAULT '{}'::jsonb, p_settings jsonb DEFAULT '{}'::jsonb) returns uuid volatile
-- function outbox.make_room(p_team uuid, p_now timestamp with time zone) returns void volatile
-- function outbox.make_team(p_caller outbox.caller, p_name text, p_metadata jsonb DEFAULT '{}'::jsonb) returns uuid volatile
-- function outbox.match_routes(p_project uuid, p_type text, p_payload jsonb DEFAULT '{}'::jsonb) returns TABLE(route_id uuid, queue text, handler text, decides boolean, enabled boolean) stable security definer
-- function outbox.matching_memories(p_project outbox.projects, p_filter jsonb, p_limit integer) returns uuid[] stable
-- function outbox.may_mint(p_key uuid, p_scopes text[]) returns boolean stable
-- function outbox.me() returns outbox.caller stable security definer
-- function outbox.memory_session(p_project outbox.projects, p_memory jsonb) returns uuid stable
-- function outbox.memory_vector(p_project uuid, p_content text, p_metadata jsonb) returns tsvector stable
-- function outbox.merge_patch(p_target jsonb, p_patch jsonb) returns jsonb immutable
-- function outbox.merge_settings(p_settings jsonb, p_patch jsonb) returns jsonb stable
-- function outbox.merged_metadata(p_metadata jsonb, p_changes jsonb) returns jsonb immutable
-- function outbox.meter_call(p_call uuid, p_job uuid, p_provider text, p_model text, p_class text, p_tokens_in bigint, p_tokens_out bigint, p_estimated boolean, p_cost_micros bigint, p_ms integer, p_observations integer) returns void volatile
-- function outbox.minds_key(p_caller outbox.caller, p_key outbox.keys) returns boolean stable
-- function outbox.mine(p_worker uuid) returns uuid volatile
-- function outbox.mint_key(p_caller outbox.caller, p_hash bytea, p_prefix text, p_team uuid, p_project uuid, p_scopes text[], p_name text DEFAULT NULL::text, p_expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, p_previous uuid DEFAULT NULL::uuid) returns outbox.keys volatile
-- function outbox.mint_stream_token(p_caller outbox.caller, p_hash bytea, p_project uuid, p_types text[], p_session uuid, p_subject text, p_ttl interval) returns timestamp with time zone volatile
-- function outbox.mints_readers(p_scopes text[]) returns boolean immutable
-- function outbox.most_routes(p_team uuid, p_project uuid) returns integer stable
-- function outbox.move_lanes(p_items outbox.settling[], p_now timestamp with time zone) returns void volatile
-- function outbox.ms(p_at timestamp with time zone) returns bigint immutable
-- function outbox.native_key(p_row outbox.incoming) returns text stable
-- function outbox.near_duplicate(p_project uuid, p_kind text, p_hash bytea, p_simhash bigint, p_now timestamp with time zone) returns uuid stable
-- function outbox.need_interaction_scope(p_id text, p_project uuid, p_connection text, p_actor text) returns void immutable
-- function outbox.need_open_handler(p_handler text) returns void stable
-- function outbox.need_operator(p_caller outbox.caller) returns void volatile
-- function outbox.need_read_committed() returns void volatile
-- function outbox.need_reason(p_reason text) returns void volatile
-- function outbox.need_retryable(p_job outbox.jobs, p_state text, p_place text) returns void volatile
-- function outbox.need_same_question(p_old outbox.interactions, p_new outbox.interactions) returns void volatile
-- function outbox.nested_settings(p_patch jsonb) returns jsonb immutable
-- function outbox.new_interaction(p_caller outbox.caller, p_project outbox.projects, p_row outbox.interactions, p_ttl interval) returns outbox.interactions volatile
-- function outbox.note_delivery(p_endpoint uuid, p_event uuid, p_class text, p_status integer, p_result text, p_closed interval, p_disabled text) returns boolean volatile
-- function outbox.note_provider_keys(p_providers text[], p_prints text[], p_default text) returns SETOF text volatile
-- function outbox.observation_fits(p_filter jsonb, p_id uuid, p_session uuid, p_kind text, p_platform text, p_created_at timestamp with time zone, p_metadata jsonb) returns boolean stable
-- function outbox.observed_on(p_observation uuid, p_session uuid, p_platform text) returns text stable
-- function outbox.observing(p_session uuid, p_summary uuid) returns integer stable
-- function outbox.open_console(p_caller outbox.caller, p_hash bytea, p_csrf bytea) returns timestamp with time zone volatile
-- function outbox.open_endpoint(p_caller outbox.caller, p_id uuid, p_project uuid, p_fields jsonb, p_queue jsonb, p_headers bytea) returns void volatile
-- function outbox.open_gathering(p_group outbox.gathered, p_from integer, p_to integer, p_full boolean) returns outbox.gatherings volatile
-- function outbox.open_lane(p_job outbox.jobs) returns void volatile
-- function outbox.open_lanes(p_jobs uuid[]) returns void volatile
-- function outbox.open_past(p_from timestamp with time zone) returns integer volatile
-- function outbox.open_queue(p_name text, p_handler text DEFAULT NULL::text, p_team uuid DEFAULT NULL::uuid) returns integer volatile
-- function outbox.open_stream(p_project uuid) returns void volatile
-- function outbox.outlived(p_limit integer, p_now timestamp with time zone) returns uuid[] volatile
-- function outbox.owed_events(p_endpoint outbox.endpoints, p_after bigint, p_upto bigint, p_only text, p_types text[] DEFAULT NULL::text[]) returns TABLE(event_id uuid, seq bigint, sequenced_at timestamp with time zone) stable
-- function outbox.own_spots(p_worker uuid, p_limit integer, p_queue text DEFAULT NULL::text) returns outbox.spot[] volatile
-- function outbox.partitions_end(p_parent text) returns timestamp with time zone stable
-- function outbox.path_words(p_paths text[]) returns text immutable
-- function outbox.pausable_project(p_caller outbox.caller, p_project uuid) returns uuid stable
-- function outbox.pause(p_caller outbox.caller, p_queue text, p_project uuid DEFAULT NULL::uuid, p_until timestamp with time zone DEFAULT NULL::timestamp with time zone, p_reason text DEFAULT NULL::text) returns timestamp with time zone volatile security definer
-- function outbox.paused_shares(p_queue integer, p_now timestamp with time zone) returns uuid[] stable
-- function outbox.payload(p_worker uuid, p_lease uuid, p_job uuid) returns jsonb volatile security definer
-- function outbox.pick_jobs(p_caller outbox.caller, p_filter jsonb, p_states text[], p_limit integer) returns TABLE(job_id uuid, state text, matched integer) volatile
-- function outbox.place(p_project uuid, p_limit integer DEFAULT 500) returns TABLE(queue text, handler text, n integer) volatile
-- function outbox.placeable_jobs(p_batch outbox.unplaced, p_last bigint) returns outbox.placeable[] volatile
-- function outbox.platform_of(p_name text) returns text immutable
-- function outbox.poll(p_worker uuid DEFAULT NULL::uuid) returns TABLE(due_queues integer[], next_due timestamp with time zone, pending boolean, unplaced boolean, leases_open boolean, to_reap boolean, to_stage boolean, upkeep text[], next_tick timestamp with time zone) volatile security definer
-- function outbox.position(p_project uuid DEFAULT NULL::uuid) returns text stable security definer
-- function outbox.probe_providers(p_queue integer) returns void volatile
-- function outbox.producer_project(p_project uuid) returns uuid stable
-- function outbox.project_lexeme(p_number integer) returns text immutable
-- function outbox.project_setting(p_project outbox.projects, p_path text) returns jsonb stable
-- function outbox.projects_of(p_worker outbox.workers) returns uuid[] stable
-- function outbox.prolong(p_caller outbox.caller, p_lease uuid, p_for interval, p_jobs uuid[] DEFAULT NULL::uuid[]) returns TABLE(until timestamp with time zone, cancelled uuid[]) volatile
-- function outbox.provider_answered(p_provider text, p_closes boolean) returns TABLE(queue text, handler text) volatile
-- function outbox.provider_failed(p_provider text, p_class text, p_retry_in interval, p_closes boolean) returns timestamp with time zone volatile
-- function outbox.provider_figures() returns TABLE(provider text, held_until timestamp with time zone, class text, since timestamp with time zone, last_ok_at timestamp with time zone, calls_1h bigint, failed_1h bigint, tokens_today bigint, cost_micros_today bigint, holds integer, failures integer, calls_today bigint, capped boolean) stable security definer
-- function outbox.provider_gate(p_provider text) returns TABLE(until timestamp with time zone, troubled boolean) volatile
-- function outbox.publish(p_type text, p_payload jsonb DEFAULT '{}'::jsonb, p_project uuid DEFAULT NULL::uuid, p_key text DEFAULT NULL::text, p_subject text DEFAULT NULL::text, p_ordering_key text DEFAULT NULL::text, p_source_event_id text DEFAULT NULL::text, p_session uuid DEFAULT NULL::uuid, p_occurred_at timestamp with time zone DEFAULT NULL::timestamp with time zone, p_run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, p_expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, p_priority integer DEFAULT 0, p_metadata jsonb DEFAULT '{}'::jsonb, p_traceparent text DEFAULT NULL::text, p_generate boolean DEFAULT true) returns uuid volatile security definer
-- function outbox.publish_caused(p_worker uuid, p_lease uuid, p_job uuid, p_events jsonb) returns TABLE(event_id uuid, project_id uuid, jobs jsonb) volatile security definer
-- function outbox.publish_many(p_events jsonb[], p_project uuid DEFAULT NULL::uuid) returns TABLE(ord integer, event_id uuid, duplicate boolean, differs boolean) volatile security definer
-- function outbox.publish_rows(p_rows outbox.incoming[]) returns TABLE(ord integer, event_id uuid, duplicate boolean, differs boolean) volatile
-- function outbox.pullable(p_caller outbox.caller, p_queue text) returns outbox.queues stable
-- function outbox.purge(p_caller outbox.caller, p_filter jsonb, p_limit integer DEFAULT 1000, p_dry_run boolean DEFAULT false, p_reason text DEFAULT NULL::text) returns outbox.bulk volatile security definer
-- function outbox.purge_batch(p_purge outbox.purges, p_limit integer, OUT done integer, OUT upto uuid) returns record volatile
-- function outbox.purge_counts(p_caller outbox.caller, p_project uuid, OUT observations bigint, OUT agent_events bigint, OUT sessions bigint, OUT jobs bigint) returns record stable
-- function outbox.purge_dead(p_before timestamp with time zone, p_limit integer DEFAULT 1000) returns integer volatile
-- function outbox.purge_events(p_purge outbox.purges, p_limit integer, OUT done integer, OUT upto uuid) returns record volatile
-- function outbox.purge_interactions(p_purge outbox.purges, p_limit integer) returns integer volatile
-- function outbox.purge_jobs(p_purge outbox.purges, p_limit integer) returns integer volatile
-- function outbox.purgeable_jobs(p_caller outbox.caller, p_project uuid, p_mark timestamp with time zone, p_limit integer) returns uuid[] volatile
-- function outbox.queue_figures(p_queue integer) returns TABLE(due bigint, later bigint, held bigint, running bigint, failed bigint, capped boolean, oldest_due_at timestamp with time zone, next_due_at timestamp with time zone, workers bigint, idle_workers bigint) stable security definer
-- function outbox.queue_settings(p_queue outbox.queues, p_settings jsonb) returns outbox.queues volatile
-- function outbox.rarest_first(p_lexemes text[]) returns text[] stable
-- function outbox.rate_figures() returns TABLE(minute timestamp with time zone, queue text, handler text, completed bigint, failed bigint, lost bigint, wait_p50_ms integer, wait_p95_ms integer, run_p50_ms integer, run_p95_ms integer, complete boolean) stable security definer
-- function outbox.reap(p_limit integer DEFAULT 20) returns TABLE(job_id uuid, lease_id uuid, worker_id uuid, state text) volatile
-- function outbox.reap_leases(p_leases uuid[]) returns TABLE(job_id uuid, lease_id uuid, worker_id uuid, state text) volatile
-- function outbox.record_observations(p_job uuid, p_items jsonb, p_dedupe boolean) returns TABLE(index integer, observation_id uuid, fresh boolean) volatile
-- function outbox.record_summary(p_job uuid, p_content text, p_metadata jsonb, p_read_at timestamp with time zone) returns TABLE(observation_id uuid, revision integer, fresh boolean) volatile
-- function outbox.recover(p_caller outbox.caller, p_endpoint uuid, p_since timestamp with time zone, p_until timestamp with time zone DEFAULT NULL::timestamp with time zone, p_only text DEFAULT 'undelivered'::text, p_types text[] DEFAULT NULL::text[], p_rate numeric DEFAULT 10, p_dry_run boolean DEFAULT false) returns TABLE(job_id uuid, matched integer, exact boolean, oldest timestamp with time zone, newest timestamp with time zone) volatile security definer
-- function outbox.recover_step(p_job uuid, p_endpoint uuid, p_events uuid[], p_step jsonb) returns integer volatile
-- function outbox.redeliver(p_caller outbox.caller, p_endpoint uuid, p_job uuid) returns TABLE(job_id uuid, made boolean) volatile
-- function outbox.redrive(p_caller outbox.caller, p_filter jsonb, p_limit integer DEFAULT 1000, p_rate numeric DEFAULT 10, p_dry_run boolean DEFAULT false, p_reason text DEFAULT NULL::text) returns outbox.bulk volatile security definer
-- function outbox.redrive_jobs(p_caller outbox.caller, p_jobs uuid[], p_states text[], p_rate numeric, p_now timestamp with time zone, p_reason text) returns integer volatile
-- function outbox.refuse(p_status integer, p_detail text, p_code text DEFAULT NULL::text) returns void volatile
-- function outbox.relaxed_matches(p_project outbox.projects, p_query text, p_words tsquery, p_filter jsonb, p_at timestamp with time zone, p_limit integer, p_after jsonb DEFAULT NULL::jsonb) returns TABLE(id uuid, score double precision, updated_at timestamp with time zone) stable
-- function outbox.relaxed_query(p_lexemes text[], p_needed integer) returns tsquery immutable
-- function outbox.release(p_worker uuid, p_lease uuid, p_jobs uuid[] DEFAULT NULL::uuid[], p_reason text DEFAULT 'released'::text) returns integer volatile security definer
-- function outbox.release_budget(p_caller outbox.caller, p_team uuid, p_project uuid) returns void volatile
-- function outbox.remove_endpoint(p_caller outbox.caller, p_id uuid) returns void volatile
-- function outbox.remove_handler(p_caller outbox.caller, p_name text) returns boolean volatile security definer
-- function outbox.remove_route(p_caller outbox.caller, p_route uuid) returns boolean volatile security definer
-- function outbox.remove_schedule(p_caller outbox.caller, p_schedule uuid, p_revision integer DEFAULT NULL::integer) returns void volatile security definer
-- function outbox.report(p_worker uuid, p_lease uuid, p_job uuid, p_progress jsonb DEFAULT NULL::jsonb, p_checkpoint jsonb DEFAULT NULL::jsonb) returns void volatile security definer
-- function outbox.requeue(p_items outbox.settling[], p_now timestamp with time zone) returns void volatile
-- function outbox.reset_stream(p_caller outbox.caller, p_project uuid) returns text volatile security definer
-- function outbox.resolve_position(p_project uuid, p_position text, p_on_gap text DEFAULT 'earliest'::text) returns TABLE(team_id uuid, epoch text, seq bigint, floor bigint, head bigint, sequenced_at timestamp with time zone, reason text) stable
-- function outbox.restart(p_caller outbox.caller, p_items outbox.settling[], p_rate numeric, p_from integer, p_now timestamp with time zone, p_reason text) returns outbox.settling[] volatile
-- function outbox.restartable(p_jobs uuid[], p_lanes bigint[]) returns uuid[] volatile
-- function outbox.resume(p_caller outbox.caller, p_queue text, p_project uuid DEFAULT NULL::uuid) returns boolean volatile security definer
-- function outbox.resume_provider(p_caller outbox.caller, p_provider text) returns boolean volatile security definer
-- function outbox.retain_events(p_project uuid, p_before timestamp with time zone, p_limit integer) returns integer volatile
-- function outbox.retain_feed(p_project uuid, p_before timestamp with time zone, p_limit integer) returns integer volatile
-- function outbox.retain_memory(p_limit integer) returns integer volatile
-- function outbox.retake_keys(p_jobs uuid[]) returns void volatile
-- function outbox.retire(p_worker uuid) returns integer volatile security definer
-- function outbox.retry(p_caller outbox.caller, p_job uuid, p_reason text DEFAULT NULL::text) returns TABLE(before text, after text, series integer) volatile security definer
-- function outbox.retry_cancelled(p_caller outbox.caller, p_jobs uuid[], p_rate numeric, p_from integer, p_now timestamp with time zone, p_reason text) returns integer volatile
-- function outbox.retry_failed(p_caller outbox.caller, p_jobs uuid[], p_rate numeric, p_from integer, p_now timestamp with time zone, p_reason text) returns integer volatile
-- function outbox.revive_endpoint(p_endpoint outbox.endpoints) returns boolean volatile
-- function outbox.revoke_key(p_caller outbox.caller, p_key uuid, p_reason text DEFAULT NULL::text) returns timestamp with time zone volatile security definer
-- function outbox.roll_up_usage(p_kept interval, p_limit integer) returns integer volatile
-- function outbox.rotate_endpoint_key(p_caller outbox.caller, p_endpoint uuid, p_kind text, p_sealed bytea, p_public text, p_overlap interval) returns timestamp with time zone volatile
-- function outbox.rotate_key(p_caller outbox.caller, p_key uuid, p_hash bytea, p_prefix text, p_overlap interval DEFAULT '1 day'::interval) returns outbox.keys volatile
-- function outbox.route_options(p_route outbox.routes, p_options jsonb, p_also text[] DEFAULT '{}'::text[]) returns outbox.routes volatile
-- function outbox.route_scope(p_caller outbox.caller, p_route outbox.routes, p_project uuid, p_team text) returns outbox.routes stable
-- function outbox.row_changes(p_old jsonb, p_new jsonb) returns jsonb immutable
-- function outbox.run_schedule(p_caller outbox.caller, p_schedule uuid) returns uuid volatile security definer
-- function outbox.schedule_event(p_row outbox.schedules, p_tick timestamp with time zone, p_missed integer) returns outbox.incoming stable
-- function outbox.schedule_fault(p_row outbox.schedules) returns text stable
-- function outbox.scope_openers(p_scope text) returns text[] immutable
-- function outbox.scoped_interaction(p_caller outbox.caller, p_id text, p_project uuid, p_connection text, p_actor text) returns outbox.interactions volatile
-- function outbox.scrub_queries(p_purge outbox.purges, p_limit integer, OUT done integer, OUT upto uuid) returns record volatile
-- function outbox.search(p_caller outbox.caller, p_project uuid, p_query text, p_filter jsonb DEFAULT '{}'::jsonb, p_limit integer DEFAULT 20, p_at timestamp with time zone DEFAULT NULL::timestamp with time zone, p_after jsonb DEFAULT NULL::jsonb) returns TABLE(id uuid, score double precision, relaxed boolean, updated_at timestamp with time zone) stable
-- function outbox.search_language() returns regconfig stable
-- function outbox.search_matches(p_project outbox.projects, p_words tsquery, p_gate tsquery, p_lexemes text[], p_needed integer, p_filter jsonb, p_at timestamp with time zone, p_limit integer, p_after jsonb DEFAULT NULL::jsonb, p_without tsquery DEFAULT NULL::tsquery) returns TABLE(id uuid, score double precision, updated_at timestamp with time zone) stable
-- function outbox.search_query(p_query text) returns tsquery stable
-- function outbox.search_terms(p_query text, p_limit integer) returns text[] stable
-- function outbox.search_text(p_query text) returns text immutable
-- function outbox.search_vector(p_project_number integer, p_title text, p_content text, p_concepts text[], p_files text[]) returns tsvector stable
-- function outbox.seen_again(p_observation uuid, p_now timestamp with time zone) returns void volatile
-- function outbox.sees(p_caller outbox.caller, p_team uuid, p_project uuid) returns boolean immutable
-- function outbox.sees_interaction(p_caller outbox.caller, p_row outbox.interactions) returns boolean stable
-- function outbox.sequence(p_projects uuid[], p_limit integer DEFAULT 1000, p_hints bigint[] DEFAULT NULL::bigint[]) returns TABLE(project_id uuid, head bigint, numbered integer, keyed integer, last_id bigint) volatile
-- function outbox.session_events(p_session uuid) returns TABLE(events bigint, newest uuid) stable
-- function outbox.session_identity(p_platform text, p_external text, p_content text, p_agent text, p_agent_type text) returns bytea stable
-- function outbox.session_moved(p_session outbox.sessions, p_events bigint, p_newest uuid) returns boolean immutable
-- function outbox.session_of(p_project outbox.projects, p_external text, p_content text, p_agent text, p_agent_type text, p_platform text, p_metadata jsonb) returns outbox.sessions volatile
-- function outbox.session_of_job(p_job outbox.jobs) returns outbox.sessions stable
-- function outbox.session_work(p_job uuid) returns TABLE(job_id uuid, team_id uuid, project_id uuid, session_id uuid, project text, problem text, found jsonb, provider text, model text, max_output_tokens integer, redact text, platform text, agent_type text, quiet interval, restless boolean, observing integer, waited_restless integer, waited_observing interval, event_count integer, observation_count integer, read_at timestamp with time zone, previous text, observations jsonb, events jsonb, first_prompt jsonb, last_message jsonb) stable
-- function outbox.set_gate(p_old outbox.queues, p_new outbox.queues) returns void volatile
-- function outbox.setting(p_name text, p_fallback text) returns text stable
-- function outbox.setting_default(p_path text) returns jsonb stable
-- function outbox.setting_shapes() returns TABLE(path text, kind text, low numeric, high numeric, choices text[], name text, fallback jsonb) immutable
-- function outbox.settle(p_worker uuid, p_results jsonb) returns TABLE(job_id uuid, lease_id uuid, accepted boolean, state text, due_at timestamp with time zone, note text) volatile security definer
-- function outbox.settle_items(p_worker uuid, p_results jsonb) returns outbox.settling[] volatile
-- function outbox.settle_open(p_worker uuid, p_items outbox.settling[]) returns outbox.settling[] volatile
-- function outbox.settle_refused(p_worker uuid, p_items outbox.settling[], p_accepted integer[]) returns TABLE(ord integer, job_id uuid, lease_id uuid, accepted boolean, state text, due_at timestamp with time zone, note text) volatile
-- function outbox.settle_whole(p_worker uuid, p_items outbox.settling[], p_now timestamp with time zone) returns uuid[] volatile
-- function outbox.shares_waiting(p_queue integer) returns integer stable
-- function outbox.snooze(p_caller outbox.caller, p_job uuid, p_until timestamp with time zone, p_reason text DEFAULT NULL::text) returns timestamp with time zone volatile security definer
-- function outbox.snooze_keyed(p_job uuid, p_lane bigint, p_until timestamp with time zone, p_held text) returns void volatile
-- function outbox.sole_events(p_observations uuid[]) returns uuid[] stable
-- function outbox.sole_jobs(p_events uuid[]) returns uuid[] stable
-- function outbox.sole_observations(p_events uuid[]) returns uuid[] stable
-- function outbox.some_of(p_terms text[], p_needed integer) returns text immutable
-- function outbox.spent_on(p_budget text, p_call outbox.usage_calls) returns bigint immutable
-- function outbox.stage(p_limit integer DEFAULT 1000, p_hint timestamp with time zone DEFAULT NULL::timestamp with time zone) returns TABLE(queue text, handler text, n integer) volatile
-- function outbox.stagger(p_items outbox.settling[], p_rate numeric, p_from integer, p_now timestamp with time zone) returns outbox.settling[] volatile
-- function outbox.start_session(p_caller outbox.caller, p_project uuid, p_external text DEFAULT NULL::text, p_content text DEFAULT NULL::text, p_agent text DEFAULT NULL::text, p_agent_type text DEFAULT NULL::text, p_platform text DEFAULT NULL::text, p_metadata jsonb DEFAULT '{}'::jsonb, p_reopen boolean DEFAULT false) returns TABLE(session_id uuid, made boolean) volatile
-- function outbox.summary_job(p_caller outbox.caller, p_session outbox.sessions, p_project outbox.projects, p_moved boolean) returns uuid volatile
-- function outbox.suspend_schedule(p_row outbox.schedules, p_reason text) returns void volatile
-- function outbox.switch_endpoint(p_caller outbox.caller, p_id uuid, p_on boolean) returns void volatile
-- function outbox.take_dead(p_jobs uuid[], p_lanes bigint[]) returns outbox.settling[] volatile
-- function outbox.take_jobs(p_jobs uuid[], p_states text[]) returns outbox.settling[] volatile
-- function outbox.take_lock(p_worker uuid) returns text volatile
-- function outbox.take_running(p_jobs uuid[]) returns outbox.settling[] volatile
-- function outbox.take_unplaced(p_jobs uuid[]) returns outbox.settling[] volatile
-- function outbox.take_waiting(p_jobs uuid[], p_lanes bigint[]) returns outbox.settling[] volatile
-- function outbox.tell_answered(p_caller outbox.caller, p_row outbox.interactions) returns void volatile
-- function outbox.tell_asked(p_caller outbox.caller, p_row outbox.interactions) returns void volatile
-- function outbox.tell_blocked(p_queue integer, p_project uuid, p_key text, p_job uuid) returns void volatile
-- function outbox.tell_budget(p_project uuid, p_spending jsonb, p_percent integer) returns void volatile
-- function outbox.tell_dead(p_items outbox.settling[]) returns void volatile
-- function outbox.tell_deleted(p_project uuid, p_type text, p_ids uuid[]) returns void volatile
-- function outbox.tell_expired(p_rows outbox.interactions[]) returns void volatile
-- function outbox.tell_interactions(p_events outbox.incoming[]) returns void volatile
-- function outbox.tell_purged(p_purge outbox.purges) returns void volatile
-- function outbox.tell_used(p_caller outbox.caller, p_row outbox.interactions, p_actor text, p_choice integer) returns uuid volatile
-- function outbox.tell_waiters(p_jobs uuid[]) returns void volatile
-- function outbox.term_query(p_lexeme text) returns text immutable
-- function outbox.texts_of(p_value jsonb) returns text[] immutable
-- function outbox.tick(p_schedule uuid, p_tick timestamp with time zone, p_next timestamp with time zone, p_missed integer) returns uuid volatile
-- function outbox.timeline(p_caller outbox.caller, p_event uuid) returns TABLE(at timestamp with time zone, kind text, job_id uuid, details jsonb) stable security definer
-- function outbox.tokens(p_queue outbox.queues, p_gate outbox.gates, p_now timestamp with time zone) returns double precision immutable
-- function outbox.traceparent_of(p_text text) returns text immutable
-- function outbox.trail_fits(p_entry outbox.trail, p_filter jsonb) returns boolean immutable
-- function outbox.trail_id(p_at timestamp with time zone, p_about text) returns uuid immutable
-- function outbox.trail_jobs(p_projects uuid[], p_from timestamp with time zone, p_to timestamp with time zone) returns SETOF uuid stable
-- function outbox.trail_of_event(p_event uuid) returns SETOF outbox.trail stable
-- function outbox.trail_of_job(p_job uuid) returns SETOF outbox.trail stable
-- function outbox.trip_breaker(p_endpoint outbox.endpoints, p_now timestamp with time zone, p_quiet boolean) returns boolean volatile
-- function outbox.unhold(p_caller outbox.caller, p_held text, p_project uuid DEFAULT NULL::uuid, p_limit integer DEFAULT 1000) returns integer volatile security definer
-- function outbox.unhold_jobs(p_caller outbox.caller, p_held text, p_project uuid, p_limit integer, p_now timestamp with time zone) returns integer[] volatile
-- function outbox.unhold_lanes(p_caller outbox.caller, p_held text, p_project uuid, p_limit integer, p_now timestamp with time zone) returns integer[] volatile
-- function outbox.usage_caps(p_caller outbox.caller, p_requests bigint) returns TABLE(budget text, cap bigint, spent bigint) stable
-- function outbox.usage_figures() returns TABLE(day date, team_id uuid, project_id uuid, provider text, model text, kind text, total bigint, cap bigint, used_ratio numeric) stable security definer
-- function outbox.usage_of(p_caller outbox.caller, p_since timestamp with time zone, p_until timestamp with time zone, p_group_by text DEFAULT NULL::text) returns TABLE("group" text, kind text, amount bigint) stable
-- function outbox.usage_rows(p_team uuid, p_project uuid, p_since timestamp with time zone, p_until timestamp with time zone) returns TABLE(project_id uuid, model text, day date, kind text, amount bigint) stable
-- function outbox.use_suggestion(p_id text, p_project uuid, p_connection text, p_actor text, p_choice integer, p_caller outbox.caller DEFAULT outbox.me()) returns TABLE(interaction_id text, choice integer, value text, uses integer, max_uses integer, use_event_id uuid) volatile security definer
-- function outbox.uses_queue(p_team uuid, p_queue outbox.queues) returns boolean stable
-- function outbox.uuid7(p_at timestamp with time zone) returns uuid volatile
-- function outbox.uuid7_floor(p_at timestamp with time zone) returns uuid immutable
-- function outbox.uuid7_time(p_id uuid) returns timestamp with time zone immutable
-- function outbox.wake_gated(p_handlers text[]) returns void volatile
-- function outbox.wake_queues(p_queues integer[]) returns void volatile
-- function outbox.wants(p_endpoint outbox.endpoints, p_type text, p_payload jsonb, p_adapter text) returns boolean stable
-- function outbox.weigh(p_caller outbox.caller, p_queue text, p_project uuid, p_weight integer) returns void volatile security definer
-- function outbox.who(p_role text) returns outbox.caller stable
-- function outbox.whole_between(p_value jsonb, p_low numeric, p_high numeric) returns boolean immutable
-- function outbox.why(p_job uuid) returns TABLE(rank integer, reason text, detail text, until timestamp with time zone) stable security definer
-- function outbox.why_lane(p_job outbox.jobs) returns TABLE(weight numeric, reason text, detail text, until timestamp with time zone) stable
-- function outbox.why_not_due(p_job outbox.jobs) returns TABLE(weight numeric, reason text, detail text, until timestamp with time zone) stable
-- function outbox.why_over(p_job outbox.jobs, p_state text) returns TABLE(weight numeric, reason text, detail text, until timestamp with time zone) stable
-- function outbox.why_paused(p_job outbox.jobs, p_queue outbox.queues) returns TABLE(weight numeric, reason text, detail text, until timestamp with time zone) stable
-- function outbox.why_pinned(p_older interval DEFAULT '00:01:00'::interval) returns TABLE(weight numeric, reason text, detail text, until timestamp with time zone) stable
-- function outbox.why_room(p_queue outbox.queues) returns TABLE(weight numeric, reason text, detail text, until timestamp with time zone) stable
-- function outbox.why_running(p_job outbox.jobs, p_queue outbox.queues) returns TABLE(weight numeric, reason text, detail text, until timestamp with time zone) stable
-- function outbox.why_will_end(p_job outbox.jobs) returns TABLE(weight numeric, reason text, detail text, until timestamp with time zone) stable
-- function outbox.why_worker(p_job outbox.jobs, p_queue outbox.queues) returns TABLE(weight numeric, reason text, detail text, until timestamp with time zone) stable
-- function outbox.withdraw(p_id text, p_project uuid, p_connection text, p_reason text DEFAULT NULL::text, p_caller outbox.caller DEFAULT outbox.me()) returns boolean volatile security definer
-- function outbox.words_like(p_value jsonb, p_pattern text, p_low numeric, p_high numeric) returns boolean immutable
-- function outbox.worn_out(p_endpoint outbox.endpoints, p_now timestamp with time zone) returns boolean stable
-- function outbox.write_memory(p_caller outbox.caller, p_project uuid, p_memory jsonb) returns TABLE(observation_id uuid, made boolean) volatile
-- function outbox.wrong_backoff(p_policy jsonb) returns text immutable
-- function outbox.wrong_options(p_options jsonb) returns text immutable
-- function outbox.wrong_rate(p_rate jsonb) returns text immutable
-- function outbox.wrong_setting(p_path text, p_value jsonb) returns text stable

-- view outbox.audit_trail (at timestamp with time zone, action text, resource_type text, resource_id text, team_id uuid, project_id uuid, actor text, key_id uuid, request_id text, event_id uuid, job_id uuid, details jsonb)
-- view outbox.blocked_lanes (queue text, project_id uuid, ordering_key text, head_job_id uuid, state text, due_at timestamp with time zone, waiting integer)
-- view outbox.chore_health (chore text, every interval, last_success_at timestamp with time zone, last_error_at timestamp with time zone, last_error text, late boolean)
-- view outbox.dead_jobs (job_id uuid, team_id uuid, project_id uuid, queue text, handler text, event_id uuid, failed_at timestamp with time zone, attempts integer, class text, status integer, error text)
-- view outbox.endpoint_health (endpoint_id uuid, project_id uuid, uid text, host text, state text, reason text, closed_until timestamp with time zone, consecutive_failures integer, first_failure_at timestamp with time zone, last_success_at timestamp with time zone, last_class text, last_status integer, queued bigint, oldest_queued_at timestamp with time zone, last_failure_at timestamp with time zone, probing boolean)
-- view outbox.failure_groups (queue text, handler text, class text, status integer, error_head text, attempts bigint, jobs bigint, first_at timestamp with time zone, last_at timestamp with time zone, sample_job uuid)
-- view outbox.held_jobs (held text, queue text, project_id uuid, jobs bigint, capped boolean, oldest_at timestamp with time zone, until timestamp with time zone)
-- view outbox.held_partitions (table_name text, partition_name text, from_at timestamp with time zone, to_at timestamp with time zone, bytes bigint, held_by uuid)
-- view outbox.key_use (key_id uuid, name text, prefix text, team_id uuid, project_id uuid, scopes text[], last_used_at timestamp with time zone, expires_at timestamp with time zone, revoked_at timestamp with time zone, note text)
-- view outbox.late_schedules (schedule_id uuid, project_id uuid, name text, next_at timestamp with time zone, late interval, state text, reason text)
-- view outbox.live_workers (worker_id uuid, name text, host text, pid integer, version text, kind text, queues text[], handlers text[], started_at timestamp with time zone, beat_age interval, state text, slots integer, running integer)
-- view outbox.open_interactions (id text, project_id uuid, connection_id text, kind text, created_at timestamp with time zone, expires_at timestamp with time zone)
-- view outbox.open_leases (job_id uuid, queue text, handler text, project_id uuid, worker_id uuid, host text, lease_id uuid, attempt integer, claimed_at timestamp with time zone, age interval, deadline_at timestamp with time zone)
-- view outbox.pending_stalled (pid integer, xact_age interval, role name, state text)
-- view outbox.pipeline_trail (at timestamp with time zone, action text, resource_type text, resource_id text, team_id uuid, project_id uuid, actor text, key_id uuid, request_id text, event_id uuid, job_id uuid, details jsonb)
-- view outbox.provider_health (provider text, held_until timestamp with time zone, class text, since timestamp with time zone, last_ok_at timestamp with time zone, calls_1h bigint, failed_1h bigint, tokens_today bigint, cost_micros_today bigint, holds integer, failures integer, calls_today bigint, capped boolean)
-- view outbox.queue_depth (queue text, handler text, due bigint, later bigint, held bigint, running bigint, failed bigint, capped boolean, oldest_due_at timestamp with time zone, lag interval, next_due_at timestamp with time zone, paused boolean, closed_until timestamp with time zone, concurrency integer, workers bigint, idle_workers bigint)
-- view outbox.server_health (check_name text, value text, wanted text, ok boolean, why text)
-- view outbox.stream_lag (project_id uuid, epoch text, head bigint, floor bigint, pending bigint, oldest_pending_age interval, sequenced_at timestamp with time zone, capped boolean)
-- view outbox.stuck_jobs (job_id uuid, queue text, handler text, project_id uuid, reason text, since timestamp with time zone, blocked_by uuid)
-- view outbox.table_health (table_name text, live bigint, dead bigint, dead_ratio numeric, bytes bigint, last_vacuum timestamp with time zone, last_autovacuum timestamp with time zone)
-- view outbox.tenant_depth (queue text, team_id uuid, project_id uuid, due bigint, capped boolean, oldest_due_at timestamp with time zone, weight integer, paused boolean)
-- view outbox.throughput (minute timestamp with time zone, queue text, handler text, completed bigint, failed bigint, lost bigint, wait_p50_ms integer, wait_p95_ms integer, run_p50_ms integer, run_p95_ms integer, complete boolean)
-- view outbox.usage_by_day (day date, team_id uuid, project_id uuid, provider text, model text, kind text, total bigint, cap bigint, used_ratio numeric)
-- view outbox.vacuum_pins (kind text, pid integer, name text, role text, application text, state text, xmin_age integer, since timestamp with time zone, dead_behind bigint, cure text)
