"""A bulk retry keeps its rate while everything is killed: the due times are in rows."""

import signal

import msgspec
import pytest

from tests.conftest import CrashServer
from tests.daemon.daemons import Place

proves = pytest.mark.proves

JOBS, RATE = 24, 8
FINISHED = "select count(*) = %s from outbox.attempts where outcome = 'completed'"
BEGAN = """
  select array_agg(extract(epoch from started_at)::float8 order by started_at)
  from outbox.attempts where outcome = 'completed'
"""


@proves("R10")
def test_a_bulk_retry_keeps_its_rate_through_restarts_of_everything(
    crash_place: Place, crash_server: CrashServer
) -> None:
    project = crash_place.project()
    for _ in range(JOBS):
        crash_place.enqueue(project, "quick")
    bury_all(crash_place)
    worker = crash_place.work().ready()
    asked = crash_place.value("select extract(epoch from outbox.clock())::float8")
    filtered = '{"queue": "quick"}'
    said = crash_place.value(
        "select (outbox.redrive(outbox.me(), %s, p_rate => %s)).affected", filtered, RATE
    )
    crash_place.until("select count(*) > 3 from outbox.attempts where outcome = 'completed'")
    worker.signal(signal.SIGKILL)
    crash_server.restart()
    crash_place.work()
    crash_place.until(FINISHED, JOBS, limit=30)

    assert JOBS == said
    began = crash_place.value(BEGAN)
    # Late is what a restart makes a job; none comes before its own due time.
    assert [] == [at - asked for n, at in enumerate(began) if at < asked + n / RATE]


def bury_all(place: Place) -> None:
    """Every job fails for good, in the hands of a worker that is no daemon."""
    worker = place.value("select worker_id from outbox.enlist('undertaker', '{quick}')")
    claimed = place.value(
        "select jsonb_agg(jsonb_build_object('lease', c.lease_id, 'job', c.job_id, 'outcome', 'failed',"
        " 'ms', 1, 'class', 'buried', 'final', true)) from outbox.claim(%s, 100) c",
        worker,
    )
    place.value("select count(*) from outbox.settle(%s, %s)", worker, msgspec.json.encode(claimed).decode())
    place.value("select outbox.retire(%s)", worker)
    assert JOBS == place.value("select count(*) from outbox.dead_letters")
