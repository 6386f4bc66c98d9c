"""Deliveries by processes that die or freeze while the receiver thinks."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from tests.daemon.daemons import Daemon, Place
from tests.daemon.test_processes import key_of

proves = pytest.mark.proves

ALLOW = {"EGRESS_ALLOW": "127.0.0.1/32"}


class Receiver:
    """Answers 204; the first call only when it is let go."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.let_go = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                receiver.ids.append(self.headers["webhook-id"])
                if len(receiver.ids) == 1:
                    receiver.let_go.wait(30)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.let_go.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@contextmanager
def delivering(place: Place, receiver: Receiver) -> Iterator[tuple[str, Daemon]]:
    """An endpoint, an event for it, and the worker that is in the call."""
    project, key = place.project(), key_of(place)
    place.value("update outbox.projects set egress = true returning id")
    serving = place.serve(**ALLOW).ready()
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{serving.port}", headers={"authorization": f"Bearer {key}"}
    ) as http:
        made = http.post(
            "/v1/endpoints",
            json={"url": f"http://127.0.0.1:{receiver.server.server_port}/", "timeoutMs": 60_000},
        )
        assert 201 == made.status_code, made.text
    first = place.work(**ALLOW).ready()
    event = place.value("select outbox.publish('order.paid', '{}', p_project => %s)", project)
    place.until("select count(*) = 1 from outbox.leases")
    while not receiver.ids:
        time.sleep(0.01)
    yield str(event), first


OUTCOMES = "select json_agg(outcome order by no)::text from outbox.attempts"
DONE = "select count(*) = 1 from outbox.attempts where outcome = 'completed'"


@proves("D3", "R1")
def test_a_worker_killed_in_a_call_leaves_its_attempt_lost_and_another_delivers_again(
    place: Place, receiver: Receiver
) -> None:
    with delivering(place, receiver) as (event, first):
        first.signal(signal.SIGKILL)
        place.work(**ALLOW).ready()
        place.until(DONE, limit=15)

    assert ["lost", "completed"] == json.loads(place.value(OUTCOMES))
    assert [event, event] == receiver.ids


@proves("L1")
def test_what_a_frozen_worker_says_when_it_wakes_changes_nothing(place: Place, receiver: Receiver) -> None:
    with delivering(place, receiver) as (event, first):
        first.signal(signal.SIGSTOP)
        place.work(**ALLOW).ready()
        place.until(DONE, limit=25)
        before = json.loads(place.value(OUTCOMES))
        endpoint = place.value("select e::text from outbox.endpoints e")
        receiver.let_go.set()
        first.signal(signal.SIGCONT)
        place.until(
            "select count(*) = 2 from outbox.workers where beat_at > clock_timestamp() - interval '2 s'",
            limit=15,
        )

    assert ["lost", "completed"] == before == json.loads(place.value(OUTCOMES))
    assert endpoint == place.value("select e::text from outbox.endpoints e")
    assert [event, event] == receiver.ids
