-- Filled in by grown.py, a part after the other.
insert into outbox.teams (id, name, created_at, updated_at)
select gen_random_uuid(), 'team ' || g, now(), now() from generate_series(1, :teams:) g;
insert into outbox.projects (id, team_id, name, created_at, updated_at)
select gen_random_uuid(), t.id, t.name || ' project ' || g, now(), now()
from outbox.teams t, generate_series(1, :per_team:) g;
select outbox.open_stream(p.id) from outbox.projects p;
select outbox.open_queue('q' || g, 'pull:q' || g % 10) from generate_series(1, :queues:) g;
create table tenants as
select row_number() over () - 1 as at, p.id, p.team_id, p.number from outbox.projects p;
create unique index on tenants (at);
create table queues as select row_number() over (order by q.id) - 1 as at, q.id from outbox.queues q
  where q.name like 'q%';
create unique index on queues (at);

create unlogged table made as
select g as i, outbox.uuid7(now() - (g % :n:) * interval ':days: days' * 0.9 / :n:) as id,
  outbox.uuid7(now() - (g % :n:) * interval ':days: days' * 0.9 / :n: - interval '1 ms') as event_id,
  t.id as project_id, t.team_id, t.number as lane, q.id as queue_id,
  now() - (g % :n:) * interval ':days: days' * 0.9 / :n: as at
from generate_series(0, :n: - 1) g
-- A few tenants make most of it.
join tenants t on t.at = (power(g::bigint * 7919 % :tenants: / :tenants:::float8, 3) * :tenants:)::int
join queues q on q.at = g % :queues:;
create index on made (i);
insert into outbox.events (id, team_id, project_id, occurred_at, received_at, type, adapter, request_id, payload)
select m.event_id, m.team_id, m.project_id, m.at, m.at, 'thing.done', 'sql', 'r-' || m.i, '{"n": 1}'
from made m;
insert into outbox.jobs (id, team_id, project_id, queue_id, event_id)
select m.id, m.team_id, m.project_id, m.queue_id, m.event_id from made m;

insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
select m.queue_id, m.lane, 0, m.at, m.id, 0, 0, 0 from made m where m.i < :waiting:;
insert into outbox.lanes (queue_id, project_id, key, last_place, due_at, blocked_by, held)
select m.queue_id, m.project_id, 'k' || m.i, m.at, m.at + case m.i % 4 when 1 then interval '9 days' else '0' end,
  case m.i % 100 when 0 then m.id end, case when m.i % 50 = 1 then 'budget' end
from made m where m.i >= :waiting: and m.i < :waiting: + :keyed:;
insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
select m.queue_id, l.id, 0, m.at, m.id, 0, 0, 0
from made m join outbox.lanes l on l.queue_id = m.queue_id and l.project_id = m.project_id and l.key = 'k' || m.i
where m.i >= :waiting: and m.i < :waiting: + :keyed:;
insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series, held)
select m.queue_id, m.lane, 0, now() + m.i * interval '10 ms', m.id, 0, 0, 0, case when m.i % 3 = 0 then 'budget' end
from made m where m.i >= :waiting: + :keyed: and m.i < 2 * :waiting: + :keyed:;
insert into outbox.dead_letters (job_id, team_id, project_id, queue_id, failed_at, place, attempt, no, series, class)
select m.id, m.team_id, m.project_id, m.queue_id, m.at, m.at, 1, 1, 0, 'Boom'
from made m where m.i % 20 = 0 and m.i >= 2 * :waiting: + :keyed:;
insert into outbox.attempts (job_id, no, attempt, series, outcome, started_at, at, ms, waited_ms, class, error)
select m.id, 1, 1, 0, case when m.i % 20 = 0 then 'failed' else 'completed' end, m.at,
  m.at + interval '5 ms', 5, 10, case when m.i % 20 = 0 then 'Boom' end,
  case when m.i % 20 = 0 then 'order ' || m.i || ' is odd' end
from made m where m.i >= 2 * :waiting: + :keyed:;
-- The last hour, by leases of about 50 jobs.
insert into outbox.attempts (job_id, lease_id, no, attempt, series, outcome, started_at, at, ms, waited_ms, class,
  error)
select m.id, md5(m.i / 2500 || '.' || m.queue_id)::uuid, 2, 2, 0, case when m.i % 20 = 0 then 'failed' else 'completed' end,
  now() - m.i % 3500 * interval '1 s', now() - m.i % 3500 * interval '1 s', m.i % 900, m.i % 5000,
  case when m.i % 20 = 0 then 'Boom' end, case when m.i % 20 = 0 then 'order ' || m.i || ' is odd' end
from made m where m.i >= 2 * :waiting: + :keyed: and m.i < 2 * :waiting: + :keyed: + :hour:;
insert into outbox.workers (id, name, kind, handlers, lock_no, beat_every, started_at, beat_at)
select gen_random_uuid(), 'w' || g, 'daemon', array(select 'pull:q' || h from generate_series(0, 9) h), g, '3 s',
  now(), now() - g % 5 * interval '1 min' from generate_series(1, 50) g;
insert into outbox.leases (id, worker_id, queue_id, claimed_at, deadline_at, job_ids, nos, attempts, series,
  run_ats, lanes, priorities)
select gen_random_uuid(), w.id, 1, now() - interval '10 min', now() + interval '1 h', array_agg(m.id),
  array_agg(2), array_agg(2), array_agg(0), array_agg(m.at), array_agg(m.lane), array_agg(0)
from (select id, row_number() over () - 1 as at from outbox.workers) w
join made m on m.i % 50 = w.at and m.i between :n: - 10000 and :n: - 1
group by w.id, m.i / 1000;
insert into outbox.pending (project_id, event_id, at, bytes, type, jobs)
select m.project_id, m.event_id, m.at, 10, 't', array[m.id] from made m where m.i < :keyed:;
insert into outbox.feed (project_id, seq, sequenced_at, event_id, bytes, type)
select m.project_id, m.i, m.at, m.event_id, 10, 't' from made m where m.i > :n: / 2;

insert into outbox.audit_log (id, at, team_id, project_id, actor, action, resource_type, resource_id, request_id)
select outbox.uuid7(m.at), m.at, m.team_id, m.project_id, 'cli:ann', 'job.retried_by_operator', 'job',
  m.id::text, 'r-' || m.i from made m where m.i % 5 = 0;
insert into outbox.observations (id, team_id, project_id, origin, kind, content, job_id, generation_key, created_at,
  updated_at, search)
select outbox.uuid7(m.at), m.team_id, m.project_id, 'generated', 'change', 'x', m.id, m.id::text, m.at, m.at, ''
from made m where m.i % 10 = 3;
insert into outbox.observation_sources (id, observation_id, project_id, source_type, source_id, job_id, created_at)
select gen_random_uuid(), o.id, o.project_id, 'agent_event', gen_random_uuid(), o.job_id, o.created_at
from outbox.observations o;
insert into outbox.usage_calls (id, at, team_id, project_id, job_id, provider, model, class, tokens_in, tokens_out,
  estimated, cost_micros, ms)
select gen_random_uuid(), m.at, m.team_id, m.project_id, m.id, (array['claude', 'gemini'])[1 + m.i % 2], 'm', 'ok',
  10, 10, false, 1, 5 from made m where m.i % 5 = 1;
insert into outbox.usage_requests (team_id, project_id, day, requests)
select t.team_id, t.id, current_date - d, 10 from tenants t, generate_series(0, 60) d;
insert into outbox.keys (id, hash, prefix, team_id, scopes, actor, created_at)
select gen_random_uuid(), sha256(t.at::text::bytea), 'x', t.team_id, '{admin}'::text[], 'key', now() from tenants t;
insert into outbox.endpoints (id, team_id, project_id, queue_id, url, created_at, updated_at)
select gen_random_uuid(), t.team_id, t.id, outbox.open_queue('endpoint:' || t.at, 'deliver'), 'https://h.test', now(),
  now() from tenants t where t.at % 2 = 0;
insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
select e.queue_id, 1, 0, now(), gen_random_uuid(), 0, 0, 0
from (select queue_id from outbox.endpoints limit 50) e, generate_series(1, 1000);
insert into outbox.interactions (id, team_id, project_id, connection_id, expected_actor, kind, prompt, free_text,
  digest, created_at, expires_at)
select 'i' || m.i, m.team_id, m.project_id, 'c', '*', 'question', '{}', true, sha256('x'), m.at,
  now() + interval '1 day' from made m where m.i % 50 = 7;
