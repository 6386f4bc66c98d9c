"""reap: only the dead are robbed, and all they held comes back."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from tests.clock import Clock
from tests.engine import Engine, Tenant
from tests.proofs import proves

SECOND = timedelta(seconds=1)
BEATS = {"fresh": 3, "four thirds": 4.1, "five beats": 15, "silent": 15.1}
"""Seconds since the last beat; a beat is due every three."""


@pytest.fixture
def lock(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session that may hold liveness locks."""
    with psycopg.connect(dsn, autocommit=True) as held:
        yield held


def is_dead(beat: str, lock_held: str, kind: str, fenced: bool, lease: str) -> bool:
    """The page, as a table."""
    if fenced or lease == "past its deadline":
        return True
    if kind == "lease":
        return False
    return beat == "silent" or (lock_held == "lost" and beat in ("four thirds", "five beats"))


CASES = [
    *itertools.product(
        BEATS,
        ("held", "lost", "of another incarnation", "never taken"),
        ("beat", "lease"),
        (False, True),
        ("young", "past its deadline"),
    )
]


@proves("R5", "L6", "L5")
def test_only_the_dead_are_touched(
    engine: Engine, tenant: Tenant, clock: Clock, lock: psycopg.Connection[tuple[object, ...]]
) -> None:
    made: dict[UUID, bool] = {}
    for n, (beat, held, kind, fenced, lease) in enumerate(CASES):
        handler = f"pull:q{n}"
        worker = engine.worker(handler, liveness=kind)
        engine.queue(f"q{n}")
        job = engine.enqueue(tenant, f"q{n}")
        assert engine.claim(worker)
        if held != "never taken":
            lock.execute("select outbox.take_lock(%s)", [worker])
        if held == "lost":
            lock.execute(
                "select pg_advisory_unlock(28514, lock_no) from outbox.workers where id = %s", [worker]
            )
        if held == "of another incarnation":
            engine.do("update outbox.workers set incarnation = 'before' where id = %s", worker)
        engine.do(
            "update outbox.workers set beat_at = outbox.clock() - make_interval(secs => %s), fenced_at = "
            "case when %s then outbox.clock() end where id = %s",
            *(BEATS[beat], fenced, worker),
        )
        at = clock.now if lease == "past its deadline" else clock.now + SECOND
        engine.do("update outbox.leases set deadline_at = %s where worker_id = %s", at, worker)
        made[job] = is_dead(beat, held, kind, fenced, lease)
    while engine.reap():
        pass

    wrong = [
        case
        for case, (job, dead) in zip(CASES, made.items(), strict=True)
        if (engine.place_of(job) != "leases") != dead
    ]
    assert wrong == []
    assert 0 < sum(made.values()) < len(made)


@pytest.fixture
def mortal(engine: Engine, tenant: Tenant) -> UUID:
    return engine.worker()


def die(engine: Engine, worker: UUID) -> None:
    engine.do("update outbox.workers set beat_at = outbox.clock() - interval '1 h' where id = %s", worker)


@proves("R3", "L9")
def test_a_job_that_kills_its_workers_is_dead_after_exactly_its_attempts(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    job = engine.enqueue(tenant, maxAttempts=3)
    starts = 0
    for _ in range(10):
        engine.stage()
        worker = engine.worker()
        starts += len(engine.claim(worker))
        die(engine, worker)
        engine.reap()
        clock.forward(timedelta(hours=2))

    assert starts == 3
    assert [row["outcome"] for row in engine.ledger(job)] == ["lost"] * 3
    assert engine.place_of(job) == "dead_letters"


def test_lost_once_is_due_at_once_and_twice_in_a_row_by_backoff(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    engine.queue(backoff={"scheduleMs": [100_000]})
    job = engine.enqueue(tenant)
    places = []
    for _ in range(2):
        worker = engine.worker()
        engine.claim(worker)
        die(engine, worker)
        said = engine.reap()
        assert [(row["job_id"], row["state"]) for row in said] == [(job, "queued")]
        places.append(engine.place_of(job))

    assert places == ["ready", "later"]
    assert engine.one("select run_at from outbox.later") - clock.now >= 80 * SECOND


def test_a_living_worker_that_hangs_loses_the_rest_of_that_lease(
    engine: Engine, tenant: Tenant, mortal: UUID, clock: Clock
) -> None:
    job = engine.enqueue(tenant, timeoutMs=1000)
    engine.claim(mortal)
    clock.forward(31 * SECOND)
    engine.beat(mortal)
    engine.reap()

    row = engine.ledger(job)[0]
    assert (row["outcome"], row["class"]) == ("timed_out", "hung")
    assert engine.beat(mortal)["alive"] is True


@pytest.mark.parametrize("extended", [False, True])
def test_a_pull_lease_that_runs_out_is_lost(
    engine: Engine, tenant: Tenant, clock: Clock, extended: bool
) -> None:
    pull = engine.worker("pull:work", liveness="lease", leaseSeconds=60)
    job = engine.enqueue(tenant)
    lease = engine.claim(pull)[0]["lease_id"]
    clock.forward(59 * SECOND)
    if extended:
        engine.extend(pull, lease, 60 * SECOND)
        clock.forward(59 * SECOND)
    assert engine.reap() == []
    clock.forward(SECOND)
    assert len(engine.reap()) == 1
    assert engine.ledger(job)[0]["outcome"] == "lost"


def test_a_keyed_job_comes_back_to_its_place(
    engine: Engine, tenant: Tenant, mortal: UUID, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    first, _ = (engine.keyed(tenant) for _ in range(2))
    clock.forward(SECOND)
    assert [row["job_id"] for row in engine.claim(mortal)] == [first]
    assert engine.claim(worker) == []
    die(engine, mortal)
    engine.reap()

    assert [row["job_id"] for row in engine.claim(worker)] == [first]


@proves("R7")
def test_leases_that_cannot_be_taken_back_do_not_stand_before_those_that_can(
    engine: Engine, tenant: Tenant, mortal: UUID
) -> None:
    engine.queue(lease_size=1)
    bad = [engine.enqueue(tenant) for _ in range(25)]
    for _ in bad:
        engine.claim(mortal)
    good = engine.enqueue(tenant)
    engine.claim(mortal)
    poison(engine, bad)
    die(engine, mortal)
    for _ in range(40):
        engine.reap(20)
        if engine.place_of(good) != "leases":
            break
    assert engine.place_of(good) == "ready"
    assert {engine.place_of(job) for job in bad} == {"leases"}


@proves("R7")
def test_a_job_that_cannot_be_ended_does_not_stop_the_others(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    bad = [engine.enqueue(tenant, expiresAt=clock.now + SECOND) for _ in range(7)]
    clock.forward(SECOND / 2)
    good = engine.enqueue(tenant, expiresAt=clock.now + SECOND)
    poison(engine, bad)
    clock.forward(SECOND)
    assert engine.expire(2) == 0
    for _ in range(4):
        engine.expire(2)
    assert engine.place_of(good) == "cancelled"
    engine.do("drop trigger boom on outbox.attempts")
    clock.forward(timedelta(minutes=1))
    assert engine.expire() == 7


def poison(engine: Engine, jobs: list[UUID]) -> None:
    """From now on nothing can be written to the ledger about these."""
    engine.do(
        "create function boom() returns trigger language plpgsql as $$ begin"
        f" if new.job_id = any ('{{{','.join(map(str, jobs))}}}') then raise exception 'boom'; end if;"
        " return new; end $$"
    )
    engine.do("create trigger boom before insert on outbox.attempts for each row execute function boom()")
