-- expand
--
-- Schedules: rows that publish an event at each tick of a clock.

create table outbox.schedules (
  id uuid primary key,
  team_id uuid not null,
  project_id uuid not null,
  name text not null check (char_length(name) between 1 and 120),
  -- Five fields, @daily and the like, or `every <n>s|m|h|d`, counted from created_at.
  cron text not null check (char_length(cron) between 1 and 200),
  timezone text not null default 'UTC' check (char_length(timezone) between 1 and 64),
  type text not null check (char_length(type) between 1 and 255),
  payload jsonb not null default '{}',
  subject text check (char_length(subject) <= 255),
  ordering_key text check (char_length(ordering_key) between 1 and 255),
  enabled boolean not null default true,
  -- What becomes of ticks that nobody was there for.
  missed text not null default 'once' check (missed in ('once', 'skip', 'all')),
  missed_cap int not null default 100 check (missed_cap between 1 and 1000),
  starts_at timestamptz,
  ends_at timestamptz,
  -- suspended: whoever it publishes for may not any more; ended: no tick is to come.
  state text not null default 'active' check (state in ('active', 'suspended', 'ended')),
  reason text check (char_length(reason) <= 100),
  -- Null: disabled or ended. Of a suspended one: the tick at which it was.
  next_at timestamptz,
  last_tick timestamptz,
  revision int not null default 1,
  -- In whose name it publishes: whoever changed it last. Null: a login of the database.
  key_id uuid,
  actor text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  check (ends_at > starts_at),
  check ((next_at is null) = (not enabled or state = 'ended')),
  foreign key (project_id, team_id) references outbox.projects (id, team_id),
  constraint schedules_name unique (project_id, name)
) with (fillfactor = 80);
create index schedules_due on outbox.schedules (next_at) where state = 'active';
create index schedules_suspended on outbox.schedules (next_at) where state = 'suspended';
create index schedules_project on outbox.schedules (project_id, id);
