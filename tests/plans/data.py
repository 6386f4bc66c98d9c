"""A database that has been in use: n rows of everything, over several partitions, queues and projects."""

from tests.engine import Engine

QUEUES, PROJECTS = 5, 20

FILL = """
do $$
declare
  n constant int := {n};
  v_now timestamptz := outbox.clock();
  v_team uuid := (select id from outbox.teams limit 1);
begin
  create temp table made on commit drop as
  select g.i, outbox.uuid7(v_now - (g.i % 6) * interval '1 day' - g.i * interval '1 ms') as id,
    p.id as project_id, p.number as lane, 1 + g.i % {queues} as queue_id, gen_random_uuid() as event_id
  from generate_series(1, n * 6) g(i)
  join (select id, number, row_number() over (order by number) - 1 as at from outbox.projects) p
    on p.at = g.i % {projects};

  insert into outbox.events (id, team_id, project_id, occurred_at, received_at, type, adapter, payload)
  select m.id, v_team, m.project_id, v_now, v_now, 'filler', 'sql', '{{}}' from made m where m.i <= n;
  insert into outbox.jobs (id, team_id, project_id, queue_id, payload, event_id, ordering_key)
  select m.id, v_team, m.project_id, m.queue_id, '{{}}', m.event_id,
    case when m.i between n + 1 and 2 * n then 'k' || m.i end
  from made m;
  insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
  select m.queue_id, m.lane, 0, v_now - m.i * interval '1 ms', m.id, 0, 0, 0 from made m where m.i <= n;
  with opened as (
    insert into outbox.lanes (queue_id, project_id, key, last_place, due_at)
    select m.queue_id, m.project_id, 'k' || m.i, v_now, v_now + case when m.i % 2 = 0 then interval '1 h'
      else interval '-1 h' end
    from made m where m.i between n + 1 and 2 * n returning *
  )
  insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
  select m.queue_id, o.id, 0, v_now - interval '1 h', m.id, 0, 0, 0
  from made m join opened o on o.queue_id = m.queue_id and o.project_id = m.project_id and o.key = 'k' || m.i
  where m.i between n + 1 and 2 * n;
  insert into outbox.later (queue_id, lane, priority, run_at, job_id, attempt, no, series)
  select m.queue_id, m.lane, 0, v_now + m.i * interval '1 s', m.id, 0, 0, 0
  from made m where m.i between 2 * n + 1 and 3 * n;
  insert into outbox.dead_letters (job_id, team_id, project_id, queue_id, failed_at, place, attempt, no,
    series)
  select m.id, v_team, m.project_id, m.queue_id, v_now, v_now, 1, 1, 0
  from made m where m.i between 3 * n + 1 and 4 * n;
  insert into outbox.attempts (job_id, no, attempt, series, outcome, at)
  select m.id, 1, 1, 0, case when m.i <= 4 * n then 'failed' else 'completed' end, v_now
  from made m where m.i > 3 * n;
  insert into outbox.event_keys
  select m.project_id, 'filler' || m.i, m.id, '', v_now + interval '1 day' from made m where m.i <= n;
  insert into outbox.job_keys
  select m.project_id, m.queue_id, 'filler' || m.i, m.id from made m where m.i <= n;
  insert into outbox.expiries select v_now + m.i * interval '1 min', m.id from made m where m.i <= n;
  insert into outbox.checkpoints
  select m.id, null, '1', v_now from made m where m.i between 3 * n + 1 and 4 * n;
  insert into outbox.sessions (id, team_id, project_id, content_session_id, started_at, created_at,
    updated_at)
  select m.id, v_team, m.project_id, 'filler' || m.i, v_now, v_now, v_now from made m where m.i <= n;
  insert into outbox.gatherings (project_id, key, job_id, session_id, events, opened_at)
  select m.project_id, m.id::text, m.id, m.id, 1, v_now from made m where m.i between 2 * n + 1 and 3 * n;
  insert into outbox.members select m.id, m.event_id, m.i from made m where m.i between 2 * n + 1 and 3 * n;
  insert into outbox.pending (project_id, event_id, at, bytes, type)
  select m.project_id, m.id, v_now, 2, 'filler' from made m where m.i <= n;
  insert into outbox.feed (project_id, seq, sequenced_at, event_id, bytes, type)
  select m.project_id, m.i, v_now - (m.i % 4) * interval '6 h', m.id, 2, 'filler'
  from made m where m.i <= n;
  update outbox.streams set head = n;
  insert into outbox.leases (id, worker_id, queue_id, claimed_at, deadline_at, job_ids, nos, attempts, series,
    run_ats, lanes, priorities)
  select gen_random_uuid(), w.id, 1 + g.i % {queues}, v_now, v_now + interval '1 h',
    array_agg(gen_random_uuid()), array_agg(1), array_agg(1), array_agg(0), array_agg(v_now), array_agg(1),
    array_agg(0)
  from generate_series(1, least(n, 1000)) g(i), generate_series(1, 20) k(i),
    (select id from outbox.workers where name = 'other') w
  group by g.i, w.id;
end
$$
"""


def prepare(engine: Engine) -> None:
    """Partitions as in production instead of the tests' single one, queues, projects, another worker."""
    for parent in ("events", "feed", "jobs", "attempts", "audit_log"):
        engine.do(f"drop table outbox.{parent}_all")
    back = "outbox.clock() - interval '8 days'"
    engine.do("update outbox_test.clock set at = " + back)
    engine.do("select outbox.make_partitions(10)")
    engine.do("update outbox_test.clock set at = at + interval '8 days'")
    first = engine.tenant()
    for _ in range(PROJECTS - 1):
        engine.tenant(team=first.team)
    for at in range(QUEUES):
        engine.queue(f"q{at}", "pull:work")
    engine.do("select outbox.enlist('other', '{}')")


def fill(engine: Engine, n: int) -> None:
    if n:
        engine.do(FILL.format(n=n, queues=QUEUES, projects=PROJECTS).replace("%", "%%"))


def leave_dead_rows(engine: Engine, n: int) -> None:
    """Rows that are gone but not vacuumed, in front of the queue that is claimed from."""
    engine.do(
        "insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)"
        " select 1, 1, 0, outbox.clock() - interval '2 h', gen_random_uuid(), 0, 0, 0"
        " from generate_series(1, %s)",
        n,
    )
    engine.do("delete from outbox.ready where run_at < outbox.clock() - interval '90 min'")
