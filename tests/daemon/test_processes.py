"""`outboxd serve` and `outboxd work` as processes: probes, signals, a database that comes and goes."""

import re
import signal
import socket
import threading
import time
from typing import Any

import httpx2
import msgspec
import psycopg
import pytest

from outboxd.store import keys
from tests.conftest import CrashServer
from tests.daemon.daemons import Daemon, Place

proves = pytest.mark.proves

DRAINED = 10.0
ENDED = "select outcome = 'completed' from outbox.attempts where job_id = %s order by no desc limit 1"


def test_the_listener_for_operations_answers_without_a_key(place: Place) -> None:
    serving, working = place.serve().ready(), place.work().ready()
    for daemon in (serving, working):
        probes = {path: daemon.status(path) for path in ("/livez", "/readyz", "/metrics", "/v1/events")}
        assert {"/livez": 200, "/readyz": 200, "/metrics": 200, "/v1/events": 404} == probes
        answer = daemon.get("/metrics")
        assert answer is not None
        assert "outboxd_" in answer[1]
    assert 401 == serving.status("/metrics", serving.port)


@proves("L14", "E7")
def test_sigterm_drains_and_ends_with_0(place: Place) -> None:
    daemon = place.serve().ready()
    daemon.signal(signal.SIGTERM)
    assert 0 == daemon.gone(DRAINED), daemon.log


@proves("L14", "I1")
def test_a_request_that_waits_for_its_job_is_answered_when_the_process_drains(place: Place) -> None:
    project, key = place.project(), key_of(place)
    place.value("select outbox.open_queue('nobody')")
    place.value("select outbox.add_route(outbox.me(), 'order.*', 'nobody')")
    daemon = place.serve().ready()
    answers: list[httpx2.Response] = []
    asking = threading.Thread(target=lambda: answers.append(publish(daemon, key, project)))
    asking.start()
    place.until("select count(*) > 0 from outbox.events")
    daemon.signal(signal.SIGTERM)
    status = daemon.gone(DRAINED)
    asking.join()

    assert (0, 1) == (status, len(answers)), daemon.log
    assert answers[0].status_code in {201, 202}, answers[0].text
    assert 1 == place.value("select count(*) from outbox.events")


@proves("L14")
def test_a_worker_finishes_its_job_before_it_ends_with_0(place: Place) -> None:
    job = place.enqueue(place.project(), "slow", '{"seconds": 1}')
    daemon = place.work().ready()
    place.until("select count(*) > 0 from outbox.leases")
    daemon.signal(signal.SIGTERM)
    assert 0 == daemon.gone(DRAINED), daemon.log
    assert place.value(ENDED, job)


@proves("L14")
def test_a_second_sigterm_hurries_and_ends_with_1(place: Place) -> None:
    job = place.enqueue(place.project(), "slow", '{"seconds": 60}')
    daemon = place.work().ready()
    place.until("select count(*) > 0 from outbox.leases")
    daemon.signal(signal.SIGTERM)
    time.sleep(0.2)
    assert daemon.process.poll() is None, "it should wait for its handler"
    daemon.signal(signal.SIGTERM)
    assert 1 == daemon.gone(DRAINED), daemon.log
    assert 0 == place.value("select count(*) from outbox.leases")
    assert place.value("select count(*) > 0 from outbox.ready where job_id = %s", job)


@pytest.mark.parametrize("taken", ["port", "metrics_port"])
def test_an_address_in_use_ends_with_5(place: Place, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        settings = {"port": str(port)} if taken == "port" else {"metrics_listen": f"127.0.0.1:{port}"}
        daemon = place.serve(**settings)
        assert 5 == daemon.gone(10), daemon.log
    assert str(port) in daemon.log


def test_without_a_schema_it_is_alive_and_unready_until_somebody_migrates(empty_place: Place) -> None:
    daemons = [empty_place.serve(), empty_place.work()]
    for daemon in daemons:
        daemon.until("/livez", 200)
        assert 503 == daemon.status("/readyz")
        assert "failed" == checks(daemon)["schema"]
    assert 0 == empty_place.start("migrate").gone(30)
    for daemon in daemons:
        daemon.until("/readyz", 200, limit=5)


@proves("L6", "G1")
def test_a_database_that_goes_and_comes_ends_nothing(crash_place: Place, crash_server: CrashServer) -> None:
    daemons = [crash_place.serve().ready(), crash_place.work().ready()]
    crash_server.crash()
    for daemon in daemons:
        daemon.until("/readyz", 503, limit=5)
        assert 200 == daemon.status("/livez")
        assert "failed" == checks(daemon)["database"]
    time.sleep(3)
    crash_server.resume()
    began = time.monotonic()
    for daemon in daemons:
        daemon.until("/readyz", 200, limit=5)
    assert time.monotonic() - began < 5
    job = crash_place.enqueue(crash_place.project(), "quick")
    crash_place.until(ENDED, job)
    assert [None, None] == [daemon.process.poll() for daemon in daemons]


def test_work_drain_ends_with_0_when_nothing_is_due(place: Place) -> None:
    project = place.project()
    jobs = [place.enqueue(project, "quick") for _ in range(5)]
    later = place.value(
        "select job_id from outbox.enqueue(outbox.me(), 'quick', '{}', %s,"
        " jsonb_build_object('handler', 'quick', 'runAt', now() + interval '1 hour'))",
        project,
    )
    daemon = place.work("--drain")
    assert 0 == daemon.gone(20), daemon.log
    assert all(place.value(ENDED, job) for job in jobs), daemon.log
    assert place.value("select count(*) = 1 from outbox.later where job_id = %s", later)


def test_sigusr1_only_tells(place: Place) -> None:
    daemon = place.serve().ready()
    daemon.signal(signal.SIGUSR1)
    began = time.monotonic()
    loops = {"listener", "api", "ingest", "poll", "sequencer", "sweeper", "notifier", "worker"}
    while not loops <= set(told(daemon)):
        assert time.monotonic() - began < 5, daemon.log
        time.sleep(0.05)
    lines = told(daemon)
    assert ("not running", "takes") == (lines["worker"]["state"], lines["ingest"]["state"])
    assert {"events": 0, "bytes": 0} == lines["ingest"]["queues"]
    # Innermost first: wherever it waits now, it is the loop's `run` that called that.
    (poll,) = lines["poll"]["tasks"]
    assert re.fullmatch(r"poll < \w+\.py:\d+ .* < poll\.py:\d+ \w+ < poll\.py:\d+ run", poll)
    assert any("chore reap" in task for task in lines["sweeper"]["tasks"])
    assert (200, None) == (daemon.status("/readyz"), daemon.process.poll())


def test_a_process_whose_event_loop_stands_still_is_not_alive_until_it_turns_again(place: Place) -> None:
    daemon = place.work().ready()
    job = place.enqueue(place.project(), "blocks", '{"seconds": 1.6}')
    place.until("select count(*) > 0 from outbox.leases")
    with pytest.raises(httpx2.TimeoutException):
        httpx2.get(f"http://127.0.0.1:{daemon.metrics_port}/livez", timeout=0.5)
    place.until(ENDED, job)
    daemon.until("/livez", 200, limit=5)
    said = [msgspec.json.decode(line) for line in daemon.log.splitlines() if "stood still" in line]
    assert said, daemon.log
    assert said[0]["ms"] >= 1000


@proves("G3")
def test_a_full_pool_is_seen_and_does_not_make_a_process_unlive(place: Place) -> None:
    place.project()
    key = key_of(place)
    daemon = place.serve(pool_min="1", pool_max="5", pool_timeout_s="0.3").ready()

    def ask() -> None:
        auth = {"authorization": f"Bearer {key}"}
        httpx2.get(f"http://127.0.0.1:{daemon.port}/v1/projects", headers=auth, timeout=30)

    asking = [threading.Thread(target=ask) for _ in range(12)]
    with psycopg.connect(place.dsn) as holder:
        holder.execute("lock table outbox.projects in access exclusive mode")
        for each in asking:
            each.start()
        daemon.until("/readyz", 503, limit=10)
        for port in (daemon.port, daemon.metrics_port):
            assert 200 == httpx2.get(f"http://127.0.0.1:{port}/livez", timeout=1).status_code
        told = daemon.get("/metrics")
    for each in asking:
        each.join()
    assert told is not None
    assert 'outboxd_db_pool_connections{state="used"} 5.0' in told[1]
    assert "outboxd_ready 0.0" in told[1]
    daemon.until("/readyz", 200, limit=10)


@proves("R1", "G1")
def test_what_a_killed_worker_had_begun_another_finishes_within_5_seconds(place: Place) -> None:
    job = place.enqueue(place.project(), "slow", '{"seconds": 60}')
    workers = {daemon.process.pid: daemon for daemon in (place.work().ready(), place.work().ready())}
    holder = "select w.pid from outbox.leases l join outbox.workers w on w.id = l.worker_id"
    place.until(f"select exists ({holder} where w.incarnation is not null)")
    workers[place.value(holder)].signal(signal.SIGKILL)
    assert place.until(ENDED, job) <= 5
    outcomes = place.value(
        "select array_agg(outcome order by no) from outbox.attempts where job_id = %s", job
    )
    assert ["lost", "completed"] == outcomes


def checks(daemon: Daemon) -> dict[str, str]:
    answer = daemon.get("/readyz")
    assert answer is not None
    found: dict[str, str] = msgspec.json.decode(answer[1])["checks"]
    return found


def told(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """What its log says of each loop. The last line may be only half there."""
    lines = [
        msgspec.json.decode(line) for line in daemon.log.splitlines(keepends=True) if line.endswith("\n")
    ]
    return {line["loop"]: line for line in lines if line["event"] == "loop"}


def key_of(place: Place) -> str:
    """A secret that may do everything in the one project."""
    secret = keys.PREFIX + "a" * 43
    place.value(
        "select (outbox.mint_key(outbox.me(), %s, 'test', p.team_id, p.id, '{*}', null, null)).id"
        " from outbox.projects p",
        keys.digest(secret.encode()),
    )
    return secret


def publish(daemon: Daemon, key: str, project: str) -> httpx2.Response:
    return httpx2.post(
        f"http://127.0.0.1:{daemon.port}/v1/events?wait=true",
        headers={"authorization": f"Bearer {key}"},
        json={"projectId": project, "eventType": "order.paid", "payload": {"n": 1}},
        timeout=40,
    )
