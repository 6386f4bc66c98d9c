"""extend, release, retire, report, payload, beat: what a worker may say about what it holds."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import Engine, Tenant
from tests.proofs import proves

MINUTE = timedelta(minutes=1)


def refusal(engine: Engine, sql: str, *args: Any) -> str | None:
    with pytest.raises(psycopg.Error) as refused:
        engine.do(sql, *args)
    return refused.value.sqlstate


@proves("L1")
@pytest.mark.parametrize("call", ["extend(%s, %s, '1 min')", "report(%s, %s, %s)", "payload(%s, %s, %s)"])
def test_a_stale_foreign_or_unknown_lease_is_over(
    engine: Engine, tenant: Tenant, worker: UUID, call: str
) -> None:
    job = engine.enqueue(tenant)
    old = engine.claim(worker)[0]["lease_id"]
    engine.release(worker, old)
    live = engine.claim(worker)[0]["lease_id"]
    for who, lease in ((worker, old), (worker, uuid4()), (engine.worker(), live)):
        args = (who, lease, job)[: call.count("%s")]
        assert refusal(engine, f"select outbox.{call}", *args) == "OX409"
    engine.do(f"select outbox.{call}", *(worker, live, job)[: call.count("%s")])


def test_extend_moves_the_time_limit_whoever_has_the_lease(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    pull = engine.worker("pull:work", liveness="lease", leaseSeconds=60)
    for who, before in ((worker, 5.5 * MINUTE), (pull, MINUTE)):
        engine.enqueue(tenant)
        lease = engine.claim(who)[0]["lease_id"]
        limit = "select deadline_at from outbox.leases where id = %s"
        assert engine.one(limit, lease) == clock.now + before
        assert engine.extend(who, lease, 7 * MINUTE) == clock.now + 7 * MINUTE
        assert engine.one(limit, lease) == clock.now + 7 * MINUTE


def test_a_short_time_for_one_job_takes_none_from_those_that_share_its_lease(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    for _ in range(2):
        engine.enqueue(tenant)
    first, second = engine.claim(worker)
    assert first["lease_id"] == second["lease_id"]
    before = engine.one("select deadline_at from outbox.leases")
    assert engine.extend(worker, first["lease_id"], timedelta(seconds=1)) == before


def test_extend_refuses_bad_times_and_jobs_it_does_not_hold(
    engine: Engine, tenant: Tenant, worker: UUID
) -> None:
    jobs = [engine.enqueue(tenant) for _ in range(2)]
    lease = engine.claim(worker)[0]["lease_id"]
    sql = "select outbox.extend(%s, %s, %s, %s)"
    for by in (timedelta(milliseconds=999), timedelta(hours=24, seconds=1), None):
        assert refusal(engine, sql, worker, lease, by, None) == "OX400"
    engine.extend(worker, lease, MINUTE, jobs)
    assert refusal(engine, sql, worker, lease, MINUTE, [jobs[0], uuid4()]) == "OX409"


@proves("L14", "L10")
def test_release_puts_jobs_back_unspent_where_they_stood(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    jobs = [engine.enqueue(tenant, priority=9, maxAttempts=1) for _ in range(3)]
    placed = clock.now
    clock.forward(timedelta(seconds=5))
    lease = engine.claim(worker)[0]["lease_id"]
    assert engine.release(worker, lease, jobs[:1]) == 1
    back = engine.rows("select job_id, priority, run_at, attempt, no from outbox.ready")
    assert back == [{"job_id": jobs[0], "priority": -9, "run_at": placed, "attempt": 0, "no": 1}]
    assert engine.ledger(jobs[0])[0]["outcome"] == "released"
    assert engine.release(worker, lease, jobs[:1]) == 0
    assert engine.release(engine.worker(), lease) == 0
    assert engine.release(worker, lease) == 2
    assert engine.release(worker, lease) == 0

    assert [(row["attempt"], row["no"]) for row in engine.claim(worker)] == [(1, 2)] * 3


def test_a_released_head_is_the_head_again(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    first, _ = (engine.keyed(tenant) for _ in range(2))
    clock.forward(MINUTE)
    engine.release(worker, engine.claim(worker)[0]["lease_id"])

    assert [row["job_id"] for row in engine.claim(worker)] == [first]


def test_retire_gives_all_back_and_the_worker_goes(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    jobs = {engine.enqueue(tenant), engine.enqueue(tenant), engine.keyed(tenant), engine.keyed(tenant, "l")}
    engine.claim(worker, 2)
    engine.claim(worker)
    engine.do("insert into outbox.idle values ('', %s)", worker)
    assert engine.one("select outbox.retire(%s)", worker) == 4
    assert engine.one("select outbox.retire(%s)", worker) == 0

    assert engine.one("select count(*) from outbox.idle") == 0
    assert refusal(engine, "select outbox.claim(%s, 1)", worker) == "OX409"
    assert {row["job_id"] for row in engine.claim(engine.worker())} == jobs


def test_what_a_job_reports_is_handed_to_its_next_attempt(
    engine: Engine, tenant: Tenant, worker: UUID
) -> None:
    job = engine.enqueue(tenant)
    got = engine.claim(worker)[0]
    assert got["checkpoint"] is None
    sql = "select outbox.report(%s, %s, %s, %s, %s)"
    engine.do(sql, worker, got["lease_id"], job, Jsonb({"percent": 10, "note": "n"}), Jsonb({"at": 1}))
    engine.do(sql, worker, got["lease_id"], job, Jsonb({"percent": 20}), None)
    kept = engine.rows("select progress, checkpoint from outbox.checkpoints")[0]
    assert kept == {"progress": {"percent": 20}, "checkpoint": {"at": 1}}
    engine.end(worker, got, "failed", retryInMs=0)

    assert engine.claim(worker)[0]["checkpoint"] == {"at": 1}


@pytest.mark.parametrize(
    ("progress", "checkpoint", "state"),
    [
        ([1], None, "OX400"),
        ({"percent": 101}, None, "OX400"),
        ({"percent": -1}, None, "OX400"),
        ({"percent": "half"}, None, "OX400"),
        ({"note": "x" * 201}, None, "OX400"),
        (None, "x" * 65_536, "OX413"),
    ],
)
def test_a_report_out_of_bounds_is_refused(
    engine: Engine, tenant: Tenant, worker: UUID, progress: Any, checkpoint: Any, state: str
) -> None:
    job = engine.enqueue(tenant)
    lease = engine.claim(worker)[0]["lease_id"]
    args = (worker, lease, job, progress and Jsonb(progress), checkpoint and Jsonb(checkpoint))
    assert refusal(engine, "select outbox.report(%s, %s, %s, %s, %s)", *args) == state


def test_the_payload_of_an_events_job_is_its_events(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    engine.route(tenant, "thing.done")
    engine.publish(tenant, payload={"a": 1})
    got = engine.claim(worker)[0]
    sql = "select outbox.payload(%s, %s, %s)"
    assert engine.one(sql, worker, got["lease_id"], got["job_id"]) == {"a": 1}


@proves("L7", "L16")
def test_a_beat_takes_along_what_was_cancelled_once(engine: Engine, tenant: Tenant) -> None:
    worker = engine.worker()
    job, other = engine.enqueue(tenant), engine.enqueue(tenant)
    got = {row["job_id"]: row for row in engine.claim(worker)}
    engine.cancel(job)
    said = engine.end(worker, got[job])

    assert (said["accepted"], said["note"]) == (False, "not_in_lease")
    assert engine.end(worker, got[other])["accepted"] is True
    assert engine.beat(worker, 3)["cancelled"] == [job]
    assert engine.beat(worker)["cancelled"] == []
    assert engine.place_of(job) == "cancelled"


def test_a_beat_says_whether_i_live_and_what_time_it_is(engine: Engine, clock: Clock) -> None:
    worker = engine.worker()
    clock.forward(MINUTE)
    assert engine.beat(worker, 7) == {"alive": True, "cancelled": [], "db_now": clock.now}
    row = engine.rows("select beat_at, running from outbox.workers")[0]
    assert row == {"beat_at": clock.now, "running": 7}
    clock.forward(MINUTE)
    engine.reap()

    assert engine.beat(worker)["alive"] is False
    assert engine.beat(uuid4())["alive"] is False
    assert engine.one("select beat_at from outbox.workers") == clock.now - MINUTE


@pytest.mark.parametrize(
    "options",
    [
        {"beatSeconds": 0.01},
        {"beatSeconds": "fast"},
        {"leaseSeconds": 4},
        {"slots": "many"},
        {"kind": "robot"},
        {"writes": "x"},
    ],
)
def test_a_bad_enlistment_is_refused(engine: Engine, options: Any) -> None:
    assert refusal(engine, "select outbox.enlist('w', '{a}', null, %s)", Jsonb(options)) == "OX400"
    assert engine.one("select count(*) from outbox.workers") == 0
