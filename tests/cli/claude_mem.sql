-- The tables of a claude-mem server that `outboxd import` reads, by the names of their columns, and a few rows.

create table teams (
  id text primary key, name text not null, metadata jsonb not null default '{}', created_at timestamptz default now(),
  updated_at timestamptz default now()
);
create table projects (
  id text primary key, team_id text not null references teams, name text not null, metadata jsonb not null default '{}',
  created_at timestamptz default now(), updated_at timestamptz default now()
);
create table api_keys (
  id text primary key, key_hash text not null unique, team_id text references teams, project_id text references projects,
  actor_id text not null, scopes jsonb not null default '[]', revoked_at timestamptz, expires_at timestamptz,
  created_at timestamptz default now(), updated_at timestamptz default now()
);
create table server_sessions (
  id text primary key, project_id text not null references projects, team_id text not null references teams,
  external_session_id text, idempotency_key text, content_session_id text, agent_id text, agent_type text,
  platform_source text, generation_status text default 'idle', metadata jsonb not null default '{}',
  started_at timestamptz default now(), ended_at timestamptz, last_generated_at timestamptz,
  created_at timestamptz default now(), updated_at timestamptz default now()
);
-- Of the first release: without platform_source.
create table agent_events (
  id text primary key, project_id text not null references projects, team_id text not null references teams,
  server_session_id text references server_sessions, source_adapter text not null, source_event_id text,
  idempotency_key text not null unique, event_type text not null, payload jsonb not null,
  metadata jsonb not null default '{}', occurred_at timestamptz not null, received_at timestamptz not null,
  created_at timestamptz default now()
);
create table observations (
  id text primary key, project_id text not null references projects, team_id text not null references teams,
  server_session_id text references server_sessions, kind text not null default 'observation', content text not null,
  content_search tsvector generated always as (to_tsvector('english', content)) stored, generation_key text,
  metadata jsonb not null default '{}', embedding jsonb, created_by_job_id text, created_at timestamptz default now(),
  updated_at timestamptz default now()
);
create table observation_sources (
  id text primary key, observation_id text not null references observations, agent_event_id text references agent_events,
  generation_job_id text, source_type text not null, source_id text not null, metadata jsonb not null default '{}',
  created_at timestamptz default now()
);

insert into teams (id, name) values
  ('11111111-1111-4111-8111-111111111111', 'acme'), ('22222222-2222-4222-8222-222222222222', 'Acme');
insert into projects (id, team_id, name) values
  ('33333333-3333-4333-8333-333333333333', '11111111-1111-4111-8111-111111111111', 'web'),
  ('no-uuid', '22222222-2222-4222-8222-222222222222', 'web');
insert into api_keys (id, key_hash, team_id, project_id, actor_id, scopes, revoked_at)
select gen_random_uuid()::text, encode(sha256(k.secret::bytea), 'hex'), k.team, k.project, 'ann', k.scopes, k.revoked
from (values
  ('cmem_good', '11111111-1111-4111-8111-111111111111', '33333333-3333-4333-8333-333333333333',
    '["memories:read", "memories:write"]'::jsonb, null::timestamptz),
  ('cmem_gone', '11111111-1111-4111-8111-111111111111', null, '["memories:read"]', now()),
  ('cmem_nobodys', null, null, '["memories:read"]', null)) k(secret, team, project, scopes, revoked);
insert into server_sessions (id, project_id, team_id, external_session_id, platform_source)
values ('44444444-4444-4444-8444-444444444444', '33333333-3333-4333-8333-333333333333',
  '11111111-1111-4111-8111-111111111111', 'ses-1', 'claude-code');
insert into agent_events (id, project_id, team_id, server_session_id, source_adapter, source_event_id, idempotency_key,
  event_type, payload, occurred_at, received_at)
select 'event-' || n, '33333333-3333-4333-8333-333333333333', '11111111-1111-4111-8111-111111111111',
  case when n > 1 then '44444444-4444-4444-8444-444444444444' end, 'hooks', 'tool-' || n, 'agent_event:v1:' || n,
  'tool_use', jsonb_build_object('n', n), a.at, a.at
-- One is 200 days old; the others 40 and 39 days, so that partitions of the past are needed.
from (values (1, 200), (2, 40), (3, 39)) v(n, days)
cross join lateral (select date_trunc('second', now()) - make_interval(days => days) as at) a;
insert into observations (id, project_id, team_id, server_session_id, kind, content, generation_key, created_by_job_id,
  metadata)
values ('55555555-5555-4555-8555-555555555555', '33333333-3333-4333-8333-333333333333',
    '11111111-1111-4111-8111-111111111111', '44444444-4444-4444-8444-444444444444', 'discovery',
    'The parser drops trailing commas', 'generation:v1:j:0:x', '66666666-6666-4666-8666-666666666666',
    '{"title": "Parser", "files_read": ["src/parse.ts"]}'),
  ('77777777-7777-4777-8777-777777777777', '33333333-3333-4333-8333-333333333333',
    '11111111-1111-4111-8111-111111111111', null, 'manual', 'Ann likes tea', null, null, '{}');
insert into observation_sources (id, observation_id, agent_event_id, source_type, source_id) values
  ('88888888-8888-4888-8888-888888888888', '55555555-5555-4555-8555-555555555555', 'event-2', 'agent_event', 'event-2'),
  ('99999999-9999-4999-8999-999999999999', '77777777-7777-4777-8777-777777777777', null, 'manual', 'x');
