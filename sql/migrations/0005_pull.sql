-- contract
--
-- Workers elsewhere: whose they are, and to which projects they are bound. A lease has one time limit.

alter table outbox.workers
  -- The login that enlisted it over SQL; null: the daemon's own, or one that has come with a key.
  add column login text,
  -- The projects to which that login was bound; null: any.
  add column project_ids uuid[];

-- A worker over HTTP is its key and the name that it gives itself. No index on what a beat moves.
create unique index workers_pull on outbox.workers (key_id, name) where kind = 'pull';
create index workers_team on outbox.workers (team_id) where team_id is not null;

-- `deadline_at` says it: of a worker that does not beat it is the time limit of the lease.
alter table outbox.leases drop column expires_at;
