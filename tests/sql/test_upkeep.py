"""stage, expire, poll, look, make_partitions: what runs by itself, and what tells it to."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from tests.clock import Clock
from tests.engine import Engine, Tenant
from tests.proofs import proves

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
DAYS = ("0308", "0309", "0310", "0311", "0312")


@proves("C7")
def test_stage_moves_what_is_due_oldest_first_and_says_where(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    jobs = [engine.enqueue(tenant, queue, runAt=clock.now + n * SECOND) for n, queue in enumerate("aab", 1)]
    clock.forward(2 * SECOND)
    sql = "select * from outbox.stage(%s)"
    assert engine.rows(sql, 1) == [{"queue": "a", "handler": "pull:a", "n": 1}]
    assert [engine.place_of(job) for job in jobs] == ["ready", "later", "later"]
    assert engine.stage() == 1
    kept = engine.rows("select run_at from outbox.ready order by run_at")
    assert [row["run_at"] for row in kept] == [clock.now - SECOND, clock.now]


def test_a_hint_of_stage_starts_there(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    engine.enqueue(tenant, runAt=clock.now + SECOND)
    late = engine.enqueue(tenant, runAt=clock.now + 5 * SECOND)
    clock.forward(HOUR)
    engine.do("select * from outbox.stage(1000, %s)", clock.now - HOUR + 5 * SECOND)
    assert engine.place_of(late) == "ready"
    assert engine.stage() == 1


@proves("C13")
def test_expire_ends_what_nobody_claims_also_on_a_paused_queue(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    engine.queue(paused=True)
    ready = engine.enqueue(tenant, expiresAt=clock.now + HOUR)
    later = engine.enqueue(tenant, runAt=clock.now + HOUR / 2, deadline=clock.now + HOUR)
    keyed = engine.keyed(tenant, expires_at=clock.now + HOUR)
    behind = engine.keyed(tenant)
    plain = engine.enqueue(tenant)
    clock.forward(HOUR)

    assert engine.expire() == 3
    ends = [(r["outcome"], r["class"]) for job in (ready, later, keyed) for r in engine.ledger(job)]
    assert ends == [("cancelled", "expired"), ("failed", "deadline"), ("cancelled", "expired")]
    lane = engine.lane(behind)
    assert lane is not None
    assert lane["due_at"] <= clock.now
    clock.forward(timedelta(days=30))
    assert engine.expire() == 2
    assert engine.ledger(plain)[0]["class"] == "deadline"


def test_the_clock_is_stable_so_that_predicates_may_use_an_index(engine: Engine) -> None:
    assert engine.one("select provolatile::text from pg_proc where oid = 'outbox.clock'::regproc") == "s"


def test_poll_says_what_there_is_to_do(engine: Engine, tenant: Tenant, worker: UUID, clock: Clock) -> None:
    engine.route(tenant, "thing.done")
    quiet = engine.poll(worker)
    assert quiet == {
        "due_queues": [],
        "next_due": None,
        "pending": False,
        "unplaced": False,
        "leases_open": False,
        "to_reap": False,
        "to_stage": False,
        "upkeep": [],
        "next_tick": None,
    }
    engine.publish(tenant, ordering_key="k", run_at=clock.now + HOUR)
    assert engine.poll(worker) == quiet | {"pending": True}
    engine.sequence(tenant)
    assert engine.poll(worker) == quiet | {"unplaced": True}
    engine.place(tenant)
    assert engine.poll(worker) == quiet | {"next_due": clock.now + HOUR}
    engine.enqueue(tenant, runAt=clock.now + SECOND)
    assert engine.poll(worker) == quiet | {"next_due": clock.now + SECOND}
    clock.forward(SECOND)
    assert engine.poll()["to_stage"] is True
    engine.stage()
    said = engine.poll(worker)
    assert (said["due_queues"], said["to_stage"]) == ([engine.queue()], False)
    engine.claim(worker)
    assert engine.poll(worker) == quiet | {"next_due": clock.now + HOUR - SECOND, "leases_open": True}


def test_poll_names_the_next_end_of_a_pause_or_closing_and_never_a_past_one(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.queue(paused=True, paused_until=clock.now + HOUR, closed_until=clock.now - HOUR)
    assert engine.poll(worker)["next_due"] == clock.now + HOUR
    engine.queue(paused_until=clock.now - HOUR, closed_until=clock.now + 2 * HOUR)
    assert engine.poll(worker)["next_due"] == clock.now + 2 * HOUR
    engine.do(
        "insert into outbox.shares values (%s, %s, 1, true, null, null, %s)",
        *(engine.queue(), tenant.project, clock.now + SECOND),
    )
    assert engine.poll(worker)["next_due"] == clock.now + SECOND


def test_poll_names_the_next_token(engine: Engine, tenant: Tenant, worker: UUID, clock: Clock) -> None:
    engine.queue(rate_per_second=0.5, rate_burst=1)
    for _ in range(2):
        engine.enqueue(tenant)
    engine.claim(worker)
    assert engine.poll(worker)["next_due"] == clock.now + 2 * SECOND


def test_poll_sees_what_looks_dead(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    mortal = engine.worker()
    engine.enqueue(tenant)
    engine.claim(mortal)
    clock.forward(4 * SECOND)
    assert engine.poll()["to_reap"] is False
    clock.forward(SECOND)
    assert engine.poll()["to_reap"] is True
    clock.forward(20 * SECOND)
    engine.reap()
    assert engine.poll()["to_reap"] is False


def test_look_gives_each_share_its_most_urgent_place_page_by_page(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    tenants = [tenant, *(engine.tenant() for _ in range(4))]
    for one in tenants:
        engine.enqueue(one, priority=-3)
        engine.enqueue(one, priority=5)
        engine.enqueue(one, "b")
    known = engine.worker("pull:work", "pull:b")
    engine.keyed(tenant)
    engine.do("insert into outbox.shares values (%s, %s, 7)", engine.queue(), tenants[1].project)
    seen: list[tuple[int, int, int, int]] = []
    after = None
    while page := engine.look(known, after=after, limit=3):
        seen += [(r["queue_id"], r["lane"], r["priority"], r["want"]) for r in page]
        last = page[-1]
        after = f"({last['queue_id']},{last['lane']},0,,)"
    work, b = engine.queue(), engine.queue("b")

    shares = [(work, t.lane, -5, 7 if t is tenants[1] else 1) for t in tenants]
    assert seen == [(work, 0, 0, 1), *shares, *((b, t.lane, 0, 1) for t in tenants)]
    assert {r["queue_id"] for r in engine.look(known, "b")} == {b}
    assert engine.look(known, "unknown") == []
    assert clock.now == engine.look(worker)[0]["run_at"]


def test_a_queue_out_of_tokens_is_not_looked_at(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.queue(rate_per_second=1, rate_burst=1)
    for _ in range(3):
        engine.enqueue(tenant)
    assert len(engine.look(worker)) == 1
    engine.claim(worker)
    assert engine.look(worker) == []
    assert engine.poll(worker)["due_queues"] == []
    clock.forward(SECOND)
    assert len(engine.look(worker)) == 1


def partitions(engine: Engine, parent: str) -> list[str]:
    return [
        row["name"]
        for row in engine.rows(
            "select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid"
            " where i.inhparent = %s::regclass order by 1",
            f"outbox.{parent}",
        )
    ]


def without_partitions(engine: Engine) -> None:
    for parent in ("events", "feed", "jobs", "attempts", "audit_log"):
        for name in partitions(engine, parent):
            engine.do(f"drop table outbox.{name}")


def test_partitions_are_made_ahead_without_a_gap(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    without_partitions(engine)
    clock.set(datetime(2030, 3, 9, 13, tzinfo=UTC))
    assert engine.one("select outbox.make_partitions(3)") == 1 + 5 + 1 + 5 + 5
    assert engine.one("select outbox.make_partitions(3)") == 0
    assert partitions(engine, "jobs") == [f"jobs_2030{day}" for day in DAYS]
    engine.route(tenant, "thing.done")
    for at in (0, 23, 47, 71):
        clock.set(datetime(2030, 3, 9, 13, tzinfo=UTC) + at * HOUR)
        engine.do("select outbox.make_partitions(3)")
        engine.publish(tenant)
        engine.sequence(tenant)
        engine.end(worker, engine.claim(worker)[0])

    engine.do("insert into outbox.settings values ('partition_days', '7')")
    clock.forward(timedelta(days=1))
    engine.do("select outbox.make_partitions(3)")
    bounds = engine.rows(
        "select pg_get_expr(c.relpartbound, c.oid) as b from pg_inherits i"
        " join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = 'outbox.jobs'::regclass order by c.relname"
    )
    ends = [row["b"].split("'")[1::2] for row in bounds]
    assert [end for _, end in ends[:-1]] == [start for start, _ in ends[1:]]


def test_a_partition_can_be_attached_while_a_publisher_is_open(
    engine: Engine, tenant: Tenant, dsn: str, clock: Clock
) -> None:
    without_partitions(engine)
    engine.do("select outbox.make_partitions(1)")
    engine.route(tenant, "thing.done")
    with psycopg.connect(dsn) as open_one:
        open_one.execute("select outbox.publish('thing.done', p_project => %s)", [tenant.project])
        clock.forward(timedelta(days=2))
        assert engine.one("select outbox.make_partitions(3)") > 0


@proves("R9")
def test_dead_letters_keep_what_a_retry_needs(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    engine.enqueue(tenant, maxAttempts=1)
    job = engine.claim(worker)[0]
    engine.end(worker, job, "failed", **{"class": "Boom"}, error="why", status=500)
    row = engine.rows("select * from outbox.dead_letters")[0]

    assert (row["team_id"], row["project_id"], row["class"]) == (tenant.team, tenant.project, "Boom")
    assert (row["error"], row["status"], row["place"]) == ("why", 500, job["run_at"])
    assert engine.retry(row["job_id"]) == {"before": "failed", "after": "queued", "series": 1}
    assert engine.claim(worker)[0]["attempt"] == 1


@pytest.mark.parametrize(
    ("chore", "row"),
    [
        ("expire", "expiries (at, job_id) values (outbox.clock(), gen_random_uuid())"),
        (
            "expire",
            "event_keys values (gen_random_uuid(), 'k', gen_random_uuid(), '\\x00', outbox.clock())",
        ),
        (
            "expire",
            "idempotency values (gen_random_uuid(), 'r', 'k', '\\x00', 201, '{}', outbox.clock())",
        ),
        (
            "purge",
            (
                "purges (project_id, team_id, mark, actor)"
                " values (gen_random_uuid(), gen_random_uuid(), outbox.clock(), 'a')"
            ),
        ),
    ],
    ids=["jobs", "event keys", "replies", "purges"],
)
def test_a_poll_names_the_chores_that_have_something_to_do(engine: Engine, chore: str, row: str) -> None:
    assert [] == engine.poll(None)["upkeep"]
    engine.do(f"insert into outbox.{row}")
    assert [chore] == engine.poll(None)["upkeep"]


def test_a_poll_names_questions_whose_time_is_over(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    engine.do(
        "insert into outbox.interactions (id, team_id, project_id, connection_id, expected_actor, kind,"
        " prompt, free_text, digest, created_at, expires_at) values ('q', %s, %s, 'c', 'a', 'question',"
        " '\"?\"', true, sha256('q'), outbox.clock(), outbox.clock() + interval '1 s')",
        tenant.team,
        tenant.project,
    )
    assert [] == engine.poll(None)["upkeep"]
    clock.forward(SECOND)
    assert ["interactions"] == engine.poll(None)["upkeep"]
