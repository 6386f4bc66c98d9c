"""Publishing to a process that dies at the worst moment, and one that hears nothing."""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psycopg
import pytest

from tests.daemon.daemons import Daemon, Place
from tests.daemon.test_processes import key_of

SLOW_COMMIT = """
create function outbox_test.slow() returns trigger language plpgsql as $$
begin perform pg_sleep(1); return null; end $$;
create constraint trigger slow after insert on outbox.events deferrable initially deferred
for each row execute function outbox_test.slow()
"""
COMMITTING = "select count(*) > 0 from pg_stat_activity where wait_event = 'PgSleep'"
DEAF = """
select count(pg_terminate_backend(a.pid)) from pg_stat_activity a
where a.query ilike 'listen%' and a.datname = current_database()
"""


def post(daemon: Daemon, key: str, query: str = "", **event: Any) -> httpx2.Response:
    return httpx2.post(
        f"http://127.0.0.1:{daemon.port}/v1/events{query}",
        headers={"authorization": f"Bearer {key}"},
        json={"eventType": "order.paid", **event},
        timeout=20,
    )


@pytest.mark.proves("G1", "I2")
def test_a_retry_after_a_kill_between_commit_and_reply_gets_the_same_event(place: Place) -> None:
    place.project()
    key = key_of(place)
    run(place, SLOW_COMMIT)
    daemon = place.serve().ready()
    lost: list[Exception] = []

    def ask() -> None:
        try:
            post(daemon, key, idempotencyKey="k")
        except httpx2.TransportError as gone:
            lost.append(gone)

    asking = threading.Thread(target=ask)
    asking.start()
    place.until(COMMITTING)
    daemon.signal(signal.SIGKILL)
    asking.join()
    place.until("select count(*) = 1 from outbox.events")
    again = post(place.serve().ready(), key, idempotencyKey="k").json()

    assert 1 == len(lost)
    assert (str(place.value("select id from outbox.events")), True) == (
        again["event"]["id"],
        again["duplicate"],
    )
    assert 1 == place.value("select count(*) from outbox.events")


@pytest.mark.proves("E2")
def test_sql_producers_without_notify_are_numbered_within_the_poll(place: Place) -> None:
    project = place.project()
    place.serve().ready()
    place.value(DEAF)
    with psycopg.connect(place.dsn, autocommit=True) as conn:
        conn.execute("set outbox.notify = off")
        conn.execute("select outbox.publish('a', p_project => %s)", [project])
    took = place.until("select count(*) = 1 from outbox.feed", limit=5)

    assert took < 2


@pytest.mark.proves("E2")
def test_who_waits_is_told_by_another_process_and_without_a_hint_by_the_look(place: Place) -> None:
    place.project()
    key = key_of(place)
    asked, other = (place.serve(generation="per-event").ready() for _ in range(2))

    def through_the_other(job: str) -> None:
        order = f"http://127.0.0.1:{other.port}/v1/jobs/{job}/cancel"
        assert 200 == httpx2.post(order, headers={"authorization": f"Bearer {key}"}).status_code

    def without_a_hint(job: str) -> None:
        place.value("select after from outbox.cancel(outbox.me(), %s)", job)

    hinted = sorted(waited(place, asked, key, through_the_other) for _ in range(5))
    unhinted = waited(place, asked, key, without_a_hint)

    assert hinted[1] < 0.1, hinted
    assert unhinted < 1.2


def waited(place: Place, daemon: Daemon, key: str, end: Callable[[str], None]) -> float:
    """Seconds between the end of its job and the answer to who waits for it."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(post, daemon, key, query="?wait=true")
        place.until("select count(*) = 1 from outbox.ready")
        end(str(place.value("select job_id from outbox.ready")))
        began = time.monotonic()
        reply = asking.result(10)
        took = time.monotonic() - began
    assert (201, "cancelled") == (reply.status_code, reply.json()["generationJob"]["status"])
    return took


def run(place: Place, statements: str) -> None:
    with psycopg.connect(place.dsn, autocommit=True) as conn:
        conn.execute(statements.encode())
