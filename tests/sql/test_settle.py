"""settle: what counts, what follows from it, and what is refused."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.clock import Clock
from tests.engine import Engine, Tenant, result
from tests.proofs import proves

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def plain_backoff(engine: Engine) -> None:
    """Ten to twelve seconds after the first failure, a hundred and more after the second."""
    engine.queue(backoff={"scheduleMs": [11_000, 100_000]})


def test_completed_leaves_only_the_ledger(engine: Engine, tenant: Tenant, worker: UUID, clock: Clock) -> None:
    job = engine.enqueue(tenant, uniqueKey="u")
    clock.forward(2 * SECOND)
    got = engine.claim(worker)[0]
    engine.do("select outbox.report(%s, %s, %s, null, '1')", worker, got["lease_id"], job)
    said = engine.end(worker, got, output={"n": 1})

    assert (said["accepted"], said["state"], said["due_at"], said["note"]) == (True, "completed", None, None)
    (row,) = engine.ledger(job)
    kept = {k: row[k] for k in ("no", "attempt", "outcome", "ms", "waited_ms", "output", "lease_id")}
    assert kept == {
        "no": 1,
        "attempt": 1,
        "outcome": "completed",
        "ms": 7,
        "waited_ms": 2000,
        "output": {"n": 1},
        "lease_id": got["lease_id"],
    }
    for table in ("ready", "later", "leases", "dead_letters", "job_keys", "checkpoints"):
        assert engine.one(f"select count(*) from outbox.{table}") == 0


@proves("L4")
def test_the_same_said_again_is_accepted_as_repeated(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    done, failed = engine.enqueue(tenant), engine.enqueue(tenant)
    got = {row["job_id"]: row for row in engine.claim(worker)}
    words = [result(got[done]), result(got[failed], "failed")]
    engine.settle(worker, *words)
    again = engine.settle(worker, *words)

    assert [(row["accepted"], row["note"]) for row in again] == [(True, "repeated")] * 2
    assert [len(engine.ledger(job)) for job in (done, failed)] == [1, 1]


@proves("L1", "L4")
def test_a_stale_item_spoils_no_other_and_is_named(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    for _ in range(3):
        engine.enqueue(tenant)
    first, second, third = engine.claim(worker)
    engine.end(worker, first)
    foreign = result(second) | {"lease": str(uuid4())}
    words = [result(first, "failed"), foreign, result(second), result(second, "failed"), result(third)]
    said = engine.settle(worker, *words)

    assert [(row["accepted"], row["note"]) for row in said] == [
        (False, "lease_over"),
        (False, "lease_over"),
        (True, None),
        (False, "lease_over"),
        (True, None),
    ]


@proves("L1")
def test_not_in_lease_while_the_lease_holds_others(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    for _ in range(3):
        engine.enqueue(tenant)
    first, second, _ = engine.claim(worker)
    engine.end(worker, first)
    said = engine.settle(worker, result(first, "failed"), result(second))

    assert [(row["accepted"], row["note"]) for row in said] == [(False, "not_in_lease"), (True, None)]


@proves("L1")
def test_another_workers_lease_is_over_for_me(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    job = engine.enqueue(tenant)
    got = engine.claim(worker)[0]
    said = engine.end(engine.worker(), got)

    assert (said["accepted"], said["note"]) == (False, "lease_over")
    assert engine.place_of(job) == "leases"


@proves("L3")
def test_two_words_about_one_job_in_one_call_the_first_counts(
    engine: Engine, tenant: Tenant, worker: UUID
) -> None:
    job = engine.enqueue(tenant)
    got = engine.claim(worker)[0]
    said = engine.settle(worker, result(got), result(got, "failed"), result(got))

    assert [(row["accepted"], row["note"]) for row in said] == [
        (True, None),
        (False, "lease_over"),
        (True, "repeated"),
    ]
    assert [row["outcome"] for row in engine.ledger(job)] == ["completed"]


@proves("L3")
def test_two_leases_of_one_job_in_one_call_only_the_live_one_counts(
    engine: Engine, tenant: Tenant, worker: UUID
) -> None:
    job = engine.enqueue(tenant)
    old = engine.claim(worker)[0]
    engine.release(worker, old["lease_id"])
    new = engine.claim(worker)[0]
    said = engine.settle(worker, result(old), result(new, "failed"))

    assert [(row["accepted"], row["note"]) for row in said] == [(False, "lease_over"), (True, None)]
    assert [row["outcome"] for row in engine.ledger(job)] == ["released", "failed"]


def test_a_partly_settled_lease_shrinks_and_keeps_its_arrays_parallel(
    engine: Engine, tenant: Tenant, worker: UUID
) -> None:
    for n in range(6):
        engine.enqueue(tenant, priority=n)
    got = engine.claim(worker)
    engine.settle(worker, *(result(row) for row in got[::2]))
    left = {row["job_id"]: -row["priority"] for row in got[1::2]}

    rows = engine.rows(
        "select m.* from outbox.leases l,"
        " unnest(l.job_ids, l.priorities, l.nos, l.lanes) m(job, priority, no, lane)"
    )
    assert {row["job"]: row["priority"] for row in rows} == left
    assert [row["job"] for row in rows] == sorted(left)
    assert {(row["no"], row["lane"]) for row in rows} == {(1, tenant.lane)}


def test_a_failure_waits_for_its_backoff(engine: Engine, tenant: Tenant, worker: UUID, clock: Clock) -> None:
    job = engine.enqueue(tenant)
    said = engine.end(worker, engine.claim(worker)[0], "failed", **{"class": "Boom"}, error="no", status=502)

    assert said["state"] == "queued"
    assert 8.8 * SECOND <= said["due_at"] - clock.now <= 13.2 * SECOND
    row = engine.ledger(job)[0]
    assert (row["class"], row["error"], row["status"], row["retry_at"]) == ("Boom", "no", 502, said["due_at"])
    assert engine.one("select run_at from outbox.later") == said["due_at"]


@proves("L11")
@pytest.mark.parametrize(("asked", "wait"), [(0, 0), (1500, 1.5), (10**9, 86_400)])
def test_an_explicit_delay_wins_up_to_a_day(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock, asked: int, wait: float
) -> None:
    engine.enqueue(tenant)
    said = engine.end(worker, engine.claim(worker)[0], "failed", retryInMs=asked)

    assert said["due_at"] - clock.now == timedelta(seconds=wait)


@proves("L9")
@pytest.mark.parametrize("outcome", ["failed", "timed_out"])
def test_attempts_are_exact(engine: Engine, tenant: Tenant, worker: UUID, outcome: str) -> None:
    job = engine.enqueue(tenant, maxAttempts=3)
    states = [engine.end(worker, engine.claim(worker)[0], outcome, retryInMs=0)["state"] for _ in range(3)]

    assert states == ["queued", "queued", "failed"]
    assert engine.place_of(job) == "dead_letters"
    dead = engine.rows("select * from outbox.dead_letters")[0]
    assert (dead["attempt"], dead["no"], dead["project_id"]) == (3, 3, tenant.project)


@proves("L12")
def test_final_is_final_at_once(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    job = engine.enqueue(tenant)
    said = engine.end(worker, engine.claim(worker)[0], "failed", final=True)

    assert (said["state"], engine.place_of(job)) == ("failed", "dead_letters")


@proves("L10")
def test_a_snooze_spends_nothing_and_ends_at_the_deadline(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    job = engine.enqueue(tenant, maxAttempts=1, deadline=clock.now + timedelta(hours=1))
    for n in range(3):
        got = engine.claim(worker)[0]
        assert (got["attempt"], got["no"]) == (1, n + 1)
        said = engine.end(worker, got, "snoozed", forMs=600_000, reason="session_open")
        assert (said["state"], said["due_at"]) == ("queued", clock.now + timedelta(minutes=10))
        assert engine.one("select held from outbox.later") == "session_open"
        clock.forward(timedelta(minutes=10))
        engine.stage()
    said = engine.end(worker, engine.claim(worker)[0], "snoozed", forMs=3_600_000, reason="session_open")

    assert said["state"] == "failed"
    assert engine.ledger(job)[-1]["class"] == "session_open"


def test_a_retry_past_the_deadline_is_dead_at_once(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.enqueue(tenant, deadline=clock.now + timedelta(seconds=60))
    got = engine.claim(worker)[0]

    assert engine.end(worker, got, "failed", retryInMs=60_001)["state"] == "failed"


def test_a_job_that_never_ends_is_ended(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    job = engine.enqueue(tenant)
    engine.do("update outbox.ready set no = 29999")
    said = engine.end(worker, engine.claim(worker)[0], "snoozed", forMs=0)

    assert said["state"] == "failed"
    assert engine.ledger(job)[-1]["class"] == "endless"
    engine.do("update outbox.attempts set no = 30000")


@pytest.mark.parametrize("fast", [True, False])
def test_an_output_over_16_kib_is_dropped_and_said(
    engine: Engine, tenant: Tenant, worker: UUID, fast: bool
) -> None:
    job = engine.enqueue(tenant)
    if not fast:
        engine.enqueue(tenant)
    got = sorted(engine.claim(worker), key=lambda row: row["job_id"] != job)
    engine.end(worker, got[0], output="x" * 16_400)

    row = engine.ledger(job)[0]
    assert (row["output"], row["class"], row["outcome"]) == (None, "output_too_large", "completed")
    if not fast:
        engine.end(worker, got[1])


def test_a_worker_may_say_that_a_job_was_cancelled(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    job = engine.enqueue(tenant)
    assert engine.end(worker, engine.claim(worker)[0], "cancelled")["state"] == "cancelled"
    assert engine.place_of(job) == "cancelled"


LEASE = {"lease": str(uuid4()), "job": str(uuid4())}


@pytest.mark.parametrize(
    "results",
    [
        [],
        {},
        None,
        "x",
        [1],
        [LEASE],
        [LEASE | {"outcome": "lost"}],
        [LEASE | {"outcome": "completed", "lease": "x"}],
        [LEASE | {"outcome": "snoozed"}],
        [LEASE | {"outcome": "snoozed", "forMs": -1}],
        [LEASE | {"outcome": "failed", "retryInMs": "soon"}],
        [LEASE | {"outcome": "failed", "status": 70_000}],
        [LEASE | {"outcome": "failed", "retryInMs": 2**62}],
        [{"outcome": "completed", "job": LEASE["job"]}],
        [LEASE | {"outcome": "completed"}] * 501,
    ],
)
def test_a_malformed_item_refuses_the_whole_call(
    engine: Engine, tenant: Tenant, worker: UUID, results: Any
) -> None:
    job = engine.enqueue(tenant)
    good = engine.claim(worker)[0]
    if isinstance(results, list) and results and len(results) < 500:
        results = [{k: str(v) for k, v in result(good).items()}, *results]
    with pytest.raises(psycopg.Error) as refused:
        engine.do("select * from outbox.settle(%s, %s::jsonb)", worker, psycopg.types.json.Jsonb(results))

    assert refused.value.sqlstate == "OX400"
    assert engine.place_of(job) == "leases"


def test_texts_are_cut_to_their_bounds(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    job = engine.enqueue(tenant)
    long = {"error": "e" * 3000, "detail": "d" * 40_000, "class": "c" * 300}
    engine.end(worker, engine.claim(worker)[0], "failed", **long)
    row = engine.ledger(job)[0]

    assert (len(row["error"]), len(row["class"]), row["detail"]) == (2000, 100, None)


@proves("C14", "C15")
def test_a_keyed_job_that_fails_blocks_its_lane_until_its_time(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    first, second = (engine.keyed(tenant) for _ in range(2))
    other = engine.keyed(tenant, "other")
    clock.forward(SECOND)
    got = {row["job_id"]: row for row in engine.claim(worker)}
    assert set(got) == {first, other}
    engine.end(worker, got[first], "failed", retryInMs=5000)
    engine.end(worker, got[other])
    assert engine.claim(worker) == []
    clock.forward(5 * SECOND)
    again = engine.claim(worker)
    engine.end(worker, again[0])
    last = engine.claim(worker)
    engine.end(worker, last[0])

    assert [row["job_id"] for row in again + last] == [first, second]
    assert engine.one("select count(*) from outbox.lanes") == 0


@proves("C16")
@pytest.mark.parametrize("policy", ["advance", "block"])
def test_a_dead_head_does_what_the_queue_says(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock, policy: str
) -> None:
    engine.route(tenant, "thing.done")
    engine.queue(on_dead=policy)
    first, second = (engine.keyed(tenant) for _ in range(2))
    clock.forward(SECOND)
    engine.end(worker, engine.claim(worker)[0], "failed", final=True)
    told = engine.rows("select payload from outbox.events where type = 'lane.blocked'")
    if policy == "advance":
        assert [row["job_id"] for row in engine.claim(worker)] == [second]
        assert told == []
    else:
        assert engine.claim(worker) == []
        assert told == [{"payload": {"queue": "work", "orderingKey": "k", "jobId": str(first)}}]
        engine.retry(first)
        again = engine.claim(worker)
        engine.end(worker, again[0])
        assert [row["job_id"] for row in again + engine.claim(worker)] == [first, second]


@proves("C14")
def test_the_end_of_a_waiting_job_moves_neither_a_waiting_nor_a_blocked_head(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    engine.queue(on_dead="block")
    head = engine.keyed(tenant)
    engine.keyed(tenant, expires_at=clock.now + SECOND)
    engine.keyed(tenant, expires_at=clock.now + 2 * SECOND)
    engine.keyed(tenant)
    engine.end(worker, engine.claim(worker)[0], "failed", retryInMs=60_000)
    clock.forward(SECOND)
    assert engine.expire() == 1
    assert engine.claim(worker) == []

    clock.forward(60 * SECOND)
    engine.end(worker, engine.claim(worker)[0], "failed", final=True)
    lane = engine.lane(head)
    assert lane is not None
    assert lane["blocked_by"] == head
    assert engine.claim(worker) == []
