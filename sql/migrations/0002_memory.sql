-- expand
--
-- The agents' memory: sessions, what was recorded about their events, what waits together for a model,
-- and what its calls cost. Jobs hold ids, never content, so deleting content never has to look into them.

-- What doors say of an event besides: a job of generation is wanted or not, and whether a missing platform
-- means any session (not given) or one without a platform (null).
alter type outbox.incoming add attribute generate boolean;
alter type outbox.incoming add attribute platform_given boolean;

alter table outbox.teams add column budgets jsonb not null default '{}';
alter table outbox.teams add column revision int not null default 1;
-- Everything older than the mark is invisible to every read, from the commit of a purge on.
alter table outbox.projects add column purged_at timestamptz;

-- A summary's session, or the session of a gathering's job; null otherwise.
alter table outbox.jobs add column session_id uuid;
create index jobs_session on outbox.jobs (session_id) where session_id is not null;
create index events_session on outbox.events (session_id, id) where session_id is not null;

-- The event waits for a gathering: `place` finds it in the feed, as it finds keyed jobs.
alter table outbox.pending add column gather boolean not null default false;
alter table outbox.feed add column gather boolean not null default false;

insert into outbox.queues (name, handler, class, timeout, lease_size, created_at)
values ('observe', 'observe', 'observe', '15 min', 50, clock_timestamp()),
  ('summarize', 'summarize', 'summarize', '15 min', 50, clock_timestamp())
on conflict (name) do nothing;

-- Sessions -------------------------------------------------------------------------------------------

create table outbox.sessions (
  id uuid primary key,
  team_id uuid not null,
  project_id uuid not null,
  -- SHA-256 of what makes it the same session again; null: nothing does (any more).
  identity bytea check (octet_length(identity) = 32),
  platform_source text,
  external_id text,
  content_session_id text,
  agent_id text,
  agent_type text,
  metadata jsonb not null default '{}',
  started_at timestamptz not null,
  ended_at timestamptz,
  reopened_at timestamptz,
  end_count int not null default 0,
  -- The events that the last end knew: how many, and the newest. Others since: it may be ended anew.
  ended_events bigint not null default 0,
  ended_event uuid,
  -- The job of the last end, and how the last summary went.
  summary_job uuid,
  summarized_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  foreign key (project_id, team_id) references outbox.projects (id, team_id)
) with (fillfactor = 80);
create unique index sessions_identity on outbox.sessions (project_id, identity) where identity is not null;
create index sessions_content on outbox.sessions (project_id, content_session_id, created_at)
  where content_session_id is not null;
create index sessions_project on outbox.sessions (project_id, id);
create index sessions_started on outbox.sessions (project_id, started_at, id);
create index sessions_open on outbox.sessions (project_id, id) where ended_at is null;

-- Gatherings: jobs that wait for more events -----------------------------------------------------------

-- One row per session, or per adapter and platform for events without one. Only `place` and the handler's
-- close touch it; producers never do.
create table outbox.gatherings (
  project_id uuid not null,
  key text collate "C" not null,
  job_id uuid not null,
  session_id uuid,
  events int not null,
  opened_at timestamptz not null,
  primary key (project_id, key)
) with (fillfactor = 70);
create unique index gatherings_job on outbox.gatherings (job_id);
create index gatherings_session on outbox.gatherings (session_id) where session_id is not null;

create table outbox.members (
  job_id uuid not null,
  event_id uuid not null,
  seq bigint not null,
  primary key (job_id, event_id)
);
create index members_event on outbox.members (event_id);

-- Observations -------------------------------------------------------------------------------------------

create table outbox.observations (
  id uuid primary key,
  team_id uuid not null,
  project_id uuid not null,
  session_id uuid,
  -- Who recorded it: a person or agent, a model about events, a model about a session.
  origin text not null check (origin in ('manual', 'generated', 'summary')),
  kind text not null check (char_length(kind) between 1 and 64),
  content text not null,
  metadata jsonb not null default '{}',
  platform_source text,
  revision int not null default 1,
  -- Unique in the project: the same again is the first row.
  generation_key text collate "C",
  idempotency_key text collate "C",
  job_id uuid,
  key_id uuid,
  -- Of the normalised content, for near-duplicates; generated rows only.
  content_hash bytea,
  simhash bigint,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  search tsvector not null,
  foreign key (project_id, team_id) references outbox.projects (id, team_id)
);
create unique index observations_generation on outbox.observations (project_id, generation_key)
  where generation_key is not null;
create unique index observations_idempotency on outbox.observations (project_id, idempotency_key)
  where idempotency_key is not null;
create index observations_recent on outbox.observations (project_id, created_at, id);
create index observations_kind on outbox.observations (project_id, kind, created_at);
create index observations_session on outbox.observations (session_id, created_at) where session_id is not null;
create index observations_job on outbox.observations (job_id) where job_id is not null;
create index observations_search on outbox.observations using gin (search) with (fastupdate = off);

create table outbox.observation_sources (
  id uuid primary key,
  observation_id uuid not null references outbox.observations on delete cascade,
  project_id uuid not null,
  source_type text not null check (source_type in ('agent_event', 'session_summary')),
  source_id uuid not null,
  job_id uuid,
  created_at timestamptz not null,
  unique (observation_id, source_type, source_id)
);
create index observation_sources_source on outbox.observation_sources (source_id, observation_id);

-- What it costs ---------------------------------------------------------------------------------------------

-- One row a provider call, whatever came of it. Its id is made before the call, so that it counts once.
create table outbox.usage_calls (
  id uuid primary key,
  at timestamptz not null,
  team_id uuid not null,
  project_id uuid not null,
  job_id uuid not null,
  provider text not null,
  model text not null,
  -- ok, or the class of the failure.
  class text not null,
  tokens_in bigint not null,
  tokens_out bigint not null,
  estimated boolean not null,
  -- null: nobody told us the price.
  cost_micros bigint,
  ms int not null,
  observations int not null default 0
);
create index usage_calls_project on outbox.usage_calls (project_id, at);
create index usage_calls_team on outbox.usage_calls (team_id, at);
create index usage_calls_job on outbox.usage_calls (job_id);
create index usage_calls_at on outbox.usage_calls using brin (at);

-- Requests, counted in the processes and added here a few times a minute; project null: a team's key.
create table outbox.usage_requests (
  team_id uuid not null,
  project_id uuid,
  day date not null,
  requests bigint not null,
  refused bigint not null default 0
);
create unique index usage_requests_scope on outbox.usage_requests
  (team_id, day, coalesce(project_id, '00000000-0000-0000-0000-000000000000'));

-- The months that were summed up before their rows went.
create table outbox.usage_months (
  team_id uuid not null,
  project_id uuid,
  month date not null,
  kind text not null,
  model text not null default '',
  amount bigint not null
);
create unique index usage_months_scope on outbox.usage_months
  (team_id, month, kind, model, coalesce(project_id, '00000000-0000-0000-0000-000000000000'));

-- A crossing of 80 or 100 per cent is told once a period.
create table outbox.budget_marks (
  scope_id uuid not null,
  budget text not null,
  period timestamptz not null,
  percent int not null,
  at timestamptz not null,
  primary key (scope_id, budget, period, percent)
);

-- Fixed windows, shared by all processes; a hint: lost on a crash, and then everybody starts anew.
create unlogged table outbox.rate_windows (
  subject uuid not null,
  kind text not null,
  window_at timestamptz not null,
  used bigint not null,
  primary key (subject, kind)
) with (fillfactor = 50);

-- A provider that wants to be left alone, seen by all processes.
create table outbox.provider_holds (
  provider text primary key,
  class text,
  -- null: nothing holds it.
  until timestamptz,
  -- How often in a row it was held, or failed without being held.
  holds int not null default 0,
  failures int not null default 0,
  -- After the end one job tries, until then.
  probing_until timestamptz,
  since timestamptz,
  updated_at timestamptz not null
);

-- Replies of creating requests, by the caller's Idempotency-Key.
create table outbox.idempotency (
  scope_id uuid not null,
  route text not null,
  key text collate "C" not null,
  fingerprint bytea not null,
  status smallint not null,
  reply jsonb not null,
  expires_at timestamptz not null,
  primary key (scope_id, route, key)
);
create index idempotency_expiry on outbox.idempotency (expires_at);

-- Events of one key on their way into a gathering, in feed order, and on what terms.
create type outbox.gathered as (
  project_id uuid, team_id uuid, lane bigint, queue_id int, key text, session_id uuid, session_open boolean,
  seqs bigint[], events uuid[], ats timestamptz[], quiet interval, longest interval, most int, now timestamptz
);

-- A search visits many rows and reads the texts of few: what is long stands beside the row. A text vector hardly compresses.
alter table outbox.observations set (toast_tuple_target = 256);
alter table outbox.observations alter column search set storage external;

-- What the audit trail says, on its way out.
create type outbox.trail as (
  id uuid,
  at timestamptz,
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

-- Purges of a project's memory: how far each is, and who asked for it. One a project, the latest.
create table outbox.purges (
  project_id uuid primary key,
  team_id uuid not null,
  mark timestamptz not null,
  -- What it is at: 0 jobs, 1 observations, 2 events, 3 sessions, 4 words in the audit trail, 5 done.
  step smallint not null default 0,
  -- Behind which row of that step it goes on.
  upto uuid not null default '00000000-0000-0000-0000-000000000000',
  observations bigint not null default 0,
  agent_events bigint not null default 0,
  sessions bigint not null default 0,
  jobs bigint not null default 0,
  actor text not null,
  key_id uuid,
  request_id text
);
create index purges_unfinished on outbox.purges (project_id) where step < 5;

-- Up to which event a project's retention has blanked them.
create table outbox.retained (
  project_id uuid primary key,
  upto uuid not null
);

-- Operators ask by provider: how its last calls went, and what they cost.
create index usage_calls_provider on outbox.usage_calls (provider, at);

-- When what its summary tells of was read: a call that read before that, and is answered later, renews nothing.
alter table outbox.sessions add column summary_read_at timestamptz;

-- Calls of hours that are over, of a project and of a team each, so that a budget need not read a month of calls.
create table outbox.usage_hours (
  scope_id uuid not null,
  hour timestamptz not null,
  calls bigint not null,
  tokens bigint not null,
  cost_micros bigint not null,
  primary key (scope_id, hour)
);

-- One row: up to when calls are in usage_hours; budgets read later ones themselves.
create table outbox.usage_closed (
  upto timestamptz not null
);
insert into outbox.usage_closed (upto) values ('2000-01-01 00:00+00');
