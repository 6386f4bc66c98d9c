"""claim: who gets what, in which order, how much, and what keeps it back."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from tests.clock import Clock
from tests.engine import Engine, Tenant, result
from tests.proofs import proves

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def ids(claimed: list[dict[str, object]]) -> list[object]:
    return [row["job_id"] for row in claimed]


@proves("C3")
def test_a_share_is_claimed_by_priority_then_due_time(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    made: list[tuple[int, int, UUID]] = []
    for priority in (0, 5, -5, 5, 100, -100):
        made.append((-priority, len(made), engine.enqueue(tenant, priority=priority)))
        clock.forward(timedelta(seconds=1))

    assert ids(engine.claim(worker)) == [job for _, _, job in sorted(made)]


@proves("C3")
def test_nothing_is_handed_out_before_its_time(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    due = clock.now + MINUTE
    job = engine.enqueue(tenant, runAt=due)

    clock.set(due - timedelta(microseconds=1))
    assert (engine.stage(), engine.claim(worker)) == (0, [])
    clock.set(due)
    assert engine.claim(worker) == []
    assert engine.stage() == 1
    assert ids(engine.claim(worker)) == [job]


def test_a_claimed_job_says_what_it_takes_to_run_it(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    event = engine.publish(tenant, payload={"a": 1}, priority=3)
    job = engine.claim(worker)[0]

    told = {k: job[k] for k in ("no", "attempt", "max_attempts", "series", "queue", "handler", "priority")}
    assert told == {
        "no": 1,
        "attempt": 1,
        "max_attempts": 12,
        "series": 0,
        "queue": "work",
        "handler": "pull:work",
        "priority": 3,
    }
    assert (job["event_id"], job["type"], job["payload"]) == (event, "thing.done", {"a": 1})
    assert (job["team_id"], job["project_id"], job["actor"]) == (tenant.team, tenant.project, "sql:outboxd")
    assert (job["timeout"], job["deadline"] - clock.now) == (timedelta(minutes=5), timedelta(days=30))


def test_a_payload_over_64_kib_is_fetched_apart(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    small, large = {"text": "x" * 60_000}, {"text": "x" * 70_000}
    engine.enqueue(tenant, payload=small)
    job = engine.enqueue(tenant, payload=large)
    got = {row["job_id"]: row for row in engine.claim(worker)}

    assert got[job]["payload"] is None
    assert got[job]["payload_bytes"] > 65_536
    fetched = engine.one("select outbox.payload(%s, %s, %s)", worker, got[job]["lease_id"], job)
    assert fetched == large
    assert [row["payload"] for row in got.values() if row["job_id"] != job] == [small]


def test_a_lease_holds_at_most_a_hundred_jobs(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    engine.queue(lease_size=500)
    for _ in range(250):
        engine.enqueue(tenant)
    got = engine.claim(worker, 500)

    assert sorted(Counter(row["lease_id"] for row in got).values()) == [50, 100, 100]
    stored = engine.rows("select cardinality(job_ids) as n, job_ids from outbox.leases")
    assert all(row["job_ids"] == sorted(row["job_ids"]) for row in stored)


def test_a_claim_takes_no_more_than_the_lease_size(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    engine.queue(lease_size=7)
    for _ in range(20):
        engine.enqueue(tenant)

    assert [len(engine.claim(worker)) for _ in range(4)] == [7, 7, 6, 0]


def test_jobs_whose_handler_writes_get_a_lease_each(engine: Engine, tenant: Tenant) -> None:
    worker = engine.worker("pull:work", writes=["pull:work"])
    for _ in range(3):
        engine.enqueue(tenant)

    assert len({row["lease_id"] for row in engine.claim(worker)}) == 3


def test_a_lease_lasts_as_long_as_its_longest_job_and_half_a_minute(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.enqueue(tenant, timeoutMs=60_000)
    engine.enqueue(tenant, timeoutMs=600_000)
    engine.claim(worker)

    assert engine.one("select deadline_at from outbox.leases") == clock.now + timedelta(seconds=630)


@proves("C8")
def test_a_worker_claims_only_what_it_knows(engine: Engine, tenant: Tenant) -> None:
    yesterdays = engine.worker("pull:other")
    job = engine.enqueue(tenant)

    assert engine.look(yesterdays) == []
    assert engine.claim(yesterdays) == []
    assert engine.poll(yesterdays)["due_queues"] == []
    assert engine.one("select attempt from outbox.ready where job_id = %s", job) == 0


def test_a_worker_claims_only_queues_it_subscribes_to(engine: Engine, tenant: Tenant) -> None:
    wanted = engine.worker("pull:a-1", "pull:b", "pull:c", queues=["a-*", "c"])
    jobs = {name: engine.enqueue(tenant, name) for name in ("a-1", "b", "c")}

    assert set(ids(engine.claim(wanted))) == {jobs["a-1"], jobs["c"]}


@pytest.mark.parametrize("limit", [0, 501, -1, None])
def test_a_limit_out_of_bounds_is_refused(engine: Engine, worker: UUID, limit: int) -> None:
    with pytest.raises(psycopg.Error) as refused:
        engine.claim(worker, limit)
    assert refused.value.sqlstate == "OX400"


def test_an_unknown_fenced_or_silent_worker_gets_nothing(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    engine.enqueue(tenant)
    silent = engine.worker()
    fenced = engine.worker()
    engine.do("update outbox.workers set fenced_at = outbox.clock() where id = %s", fenced)
    clock.forward(timedelta(seconds=16))
    for nobody in (tenant.project, fenced, silent):
        with pytest.raises(psycopg.Error) as refused:
            engine.claim(nobody)
        assert refused.value.sqlstate == "OX409"


@proves("C11")
def test_a_paused_or_closed_queue_or_share_hands_out_nothing(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    queue = engine.queue()
    keyed, free = engine.keyed(tenant), engine.enqueue(tenant)
    stops = {
        "update outbox.queues set paused = %s": (True, False),
        "update outbox.queues set paused = true, paused_until = %s": (clock.now + HOUR, clock.now),
        "update outbox.queues set paused = false, closed_until = %s": (clock.now + HOUR, clock.now),
    }
    spots = [f"({queue},{lane},0,-infinity,10)" for lane in (0, tenant.lane)]
    for sql, (stopped, going) in stops.items():
        engine.do(sql, stopped)
        assert (engine.claim(worker), engine.claim(worker, 9, spots), engine.look(worker)) == ([], [], [])
        engine.do(sql, going)
    engine.do("insert into outbox.shares values (%s, %s, 1, true)", queue, tenant.project)
    assert (engine.claim(worker), engine.claim(worker, 9, spots), engine.look(worker)) == ([], [], [])
    engine.do("update outbox.shares set paused_until = outbox.clock()")

    assert set(ids(engine.claim(worker))) == {keyed, free}


@proves("C9")
def test_concurrency_is_exact_and_lowering_it_waits_for_room(
    engine: Engine, tenant: Tenant, worker: UUID
) -> None:
    engine.queue(concurrency=3)
    for _ in range(9):
        engine.enqueue(tenant)
    first = engine.claim(worker, 2)
    second = engine.claim(engine.worker(), 9)
    assert (len(first), len(second)) == (2, 1)

    engine.queue(concurrency=2)
    engine.end(worker, first[0])
    assert engine.claim(worker) == []
    engine.end(worker, first[1])
    assert len(engine.claim(worker)) == 1


def test_per_worker_counts_each_worker_apart(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    engine.queue(per_worker=2)
    for _ in range(9):
        engine.enqueue(tenant)

    assert [len(engine.claim(w)) for w in (worker, worker, engine.worker())] == [2, 0, 2]


@proves("C10")
def test_claims_never_exceed_burst_plus_rate(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.queue(rate_per_second=2, rate_burst=5)
    for _ in range(40):
        engine.enqueue(tenant)
    taken = []
    for _ in range(8):
        taken.append(len(engine.claim(worker)))
        clock.forward(timedelta(seconds=1))

    assert taken == [5, 2, 2, 2, 2, 2, 2, 2]


@proves("C10")
def test_a_clock_that_steps_back_fills_no_token_twice(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.queue(rate_per_second=10, rate_burst=10)
    for _ in range(40):
        engine.enqueue(tenant)
    clock.forward(timedelta(seconds=2))
    engine.claim(worker, 4)
    clock.forward(timedelta(seconds=-2))
    assert len(engine.claim(worker)) == 6
    clock.forward(timedelta(seconds=2))

    assert engine.claim(worker) == []


@proves("C12")
def test_a_flood_does_not_hide_another_project(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    for _ in range(200):
        engine.enqueue(tenant)
    quiet = engine.enqueue(engine.tenant())
    for _ in range(40):
        got = engine.claim(worker, 2)
        if quiet in ids(got):
            break
    else:
        pytest.fail("40 claims of 2 never reached the other project")


@proves("C12")
def test_weights_share_out_a_claim(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    other = engine.tenant()
    queue = engine.queue(lease_size=40)
    engine.do("insert into outbox.shares values (%s, %s, 3)", queue, tenant.project)
    for _ in range(60):
        engine.enqueue(tenant)
        engine.enqueue(other)
    seen = Counter(row["project_id"] for row in engine.claim(worker, 100))

    assert seen == {tenant.project: 30, other.project: 10}


def test_keyed_and_free_work_get_half_of_a_claim_each(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    engine.route(tenant, "thing.done")
    for n in range(20):
        engine.keyed(tenant, key=f"k{n}")
        engine.enqueue(tenant)

    assert Counter(row["lane"] < 0 for row in engine.claim(worker, 10)) == {True: 5, False: 5}


def test_claims_of_one_starve_neither_kind(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    engine.route(tenant, "thing.done")
    for n in range(40):
        engine.keyed(tenant, key=f"k{n}")
        engine.enqueue(tenant)
    kinds = Counter(engine.claim(worker, 1)[0]["lane"] < 0 for _ in range(40))

    assert min(kinds[True], kinds[False]) > 0


@proves("C13")
def test_a_round_of_expired_jobs_does_not_hide_what_stands_behind(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    over = [engine.enqueue(tenant, expiresAt=clock.now + MINUTE) for _ in range(12)]
    late = engine.enqueue(tenant, deadline=clock.now + MINUTE)
    clock.forward(MINUTE)
    good = engine.enqueue(tenant)

    assert ids(engine.claim(worker, 5)) == [good]
    ends = [engine.ledger(job)[0] for job in over]
    assert {(row["outcome"], row["class"], row["attempt"]) for row in ends} == {("cancelled", "expired", 0)}
    assert [(row["outcome"], row["class"]) for row in engine.ledger(late)] == [("failed", "deadline")]
    assert engine.place_of(late) == "dead_letters"


@proves("C13")
@pytest.mark.parametrize(("end", "said"), [("expiresAt", "expired"), ("deadline", "deadline")])
@pytest.mark.parametrize("back", ["release", "snooze"])
def test_a_job_whose_time_ran_out_in_hand_is_not_handed_out_again(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock, back: str, end: str, said: str
) -> None:
    job = engine.enqueue(tenant, "work", None, **{end: clock.now + timedelta(seconds=10)})
    got = engine.claim(worker)[0]
    clock.forward(timedelta(seconds=10))
    assert engine.expire() == 0
    if back == "release":
        engine.release(worker, got["lease_id"])
    else:
        engine.end(worker, got, "snoozed", forMs=0)

    assert engine.claim(worker) == []
    assert engine.ledger(job)[-1]["class"] == said


@proves("C13")
def test_a_keyed_job_that_expired_before_it_was_placed_is_not_handed_out(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    event = engine.publish(tenant, ordering_key="k", expires_at=clock.now + timedelta(seconds=9))
    clock.forward(timedelta(seconds=10))
    assert engine.expire() == 0
    engine.sequence(tenant)
    engine.place(tenant)

    assert engine.claim(worker) == []
    assert engine.ledger(engine.jobs_of(event)[0])[-1]["class"] == "expired"


@proves("C5")
def test_a_hint_steps_over_older_rows_and_a_look_finds_them(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    queue = engine.queue()
    old = engine.enqueue(tenant)
    clock.forward(MINUTE)
    new = engine.enqueue(tenant)
    hint = f"({queue},{tenant.lane},0,{clock.now.isoformat()},10)"

    assert ids(engine.claim(worker, 10, [hint])) == [new]
    assert [row["run_at"] for row in engine.look(worker)] == [clock.now - MINUTE]
    assert ids(engine.claim(worker)) == [old]


def test_a_spot_takes_no_more_than_it_wants(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    other, queue = engine.tenant(), engine.queue()
    for _ in range(9):
        engine.enqueue(tenant)
        engine.enqueue(other)
    spots = [f"({queue},{tenant.lane},0,-infinity,2)", f"({queue},{other.lane},0,-infinity,3)"]

    seen = Counter(row["project_id"] for row in engine.claim(worker, 100, spots))
    assert seen == {tenant.project: 2, other.project: 3}


def test_the_attempt_is_counted_at_the_claim(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    made = engine.enqueue(tenant, maxAttempts=2)
    seen = []
    for _ in range(2):
        job = engine.claim(worker)[0]
        seen.append((job["no"], job["attempt"]))
        engine.end(worker, job, "failed", retryInMs=0)

    assert seen == [(1, 1), (2, 2)]
    assert engine.place_of(made) == "dead_letters"


def test_a_claim_under_another_isolation_level_is_refused(engine: Engine, worker: UUID) -> None:
    engine.do("set default_transaction_isolation = 'repeatable read'")
    with pytest.raises(psycopg.Error) as refused:
        engine.claim(worker)
    assert refused.value.sqlstate == "OX500"


@proves("C14")
def test_a_lane_hands_out_one_job_at_a_time_in_feed_order(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    made = [engine.keyed(tenant, "a") for _ in range(3)]
    other = engine.keyed(tenant, "b")
    first = engine.claim(worker)
    assert set(ids(first)) == {made[0], other}
    assert engine.claim(worker) == []
    engine.settle(worker, *map(result, first))
    clock.forward(timedelta(microseconds=2))
    second = engine.claim(worker)
    engine.end(worker, second[0])

    assert ids(second) + ids(engine.claim(worker)) == made[1:]


def test_priority_does_not_reorder_a_lane(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    engine.route(tenant, "thing.done")
    first, _ = (engine.keyed(tenant, priority=p) for p in (-50, 100))

    assert ids(engine.claim(worker)) == [first]
