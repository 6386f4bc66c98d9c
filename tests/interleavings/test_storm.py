"""The adversarial run: nothing lost, nothing done twice."""

import os

import pytest

from tests import invariants
from tests.engine import Engine
from tests.interleavings.storm import Storm
from tests.proofs import proves


def weather(dsn: str, jobs: int, limit: float) -> None:
    storm = Storm(dsn, jobs)
    storm.run(limit=limit)
    engine = Engine(dsn)
    ends = engine.rows(
        "select job_id, count(*) as n from outbox.attempts where outcome = 'completed' group by job_id"
    )
    print(storm.seen)

    assert len(ends) == jobs, "lost"
    assert {row["n"] for row in ends} == {1}, "succeeded twice"
    assert dict(storm.completed) == {row["job_id"]: 1 for row in ends}
    assert invariants.broken(engine.conn) == []
    left = [engine.one(f"select count(*) from outbox.{t}") for t in ("ready", "later", "leases", "lanes")]
    assert left == [0, 0, 0, 0]
    for what in ("deaths", "rescued", "lease_over", "repeated"):
        assert storm.seen[what] > 0, storm.seen
    numbers = "select count(*) from outbox.attempts a where not exists (select from outbox.attempts b"
    gaps = engine.one(f"{numbers} where b.job_id = a.job_id and b.no = a.no - 1) and a.no > 1")
    assert gaps == 0
    engine.close()


@proves("L1", "L3", "L4", "R2", "R4", "C2", "C14", "C15")
def test_nothing_is_lost_or_done_twice_in_a_storm(dsn: str) -> None:
    weather(dsn, 3000, 60)


@pytest.mark.nightly
@pytest.mark.timeout(4 * 3600)
@proves("L1", "L3", "L4", "R2")
def test_nothing_is_lost_or_done_twice_in_a_long_storm(dsn: str) -> None:
    weather(dsn, int(os.environ.get("OUTBOXD_STORM_JOBS", "100000")), 3600)
