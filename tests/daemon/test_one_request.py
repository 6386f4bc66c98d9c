"""One request is followed to its end: by its id through rows and log lines, by its trace through spans."""

import gzip
import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import httpx2
import pytest

from tests.daemon.collector import Listening, listening
from tests.daemon.daemons import ROOT, Daemon, Place
from tests.daemon.test_processes import key_of

REQUEST = "follow-me-1"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
SECRET = "hunter2 in a payload"
EVENT = {
    "eventType": "tool_use",
    "payload": {"tool_name": "Bash", "tool_input": {"command": "ls"}, "tool_response": SECRET},
}
ALLOWED = {"outboxd.job", "outboxd.event", "outboxd.endpoint", "outboxd.project", "outboxd.request",
           "outboxd.queue", "outboxd.handler", "outboxd.class"}  # fmt: skip


class Followed:
    """What one request left behind."""

    def __init__(self, place: Place, daemon: Daemon, webhooks: Listening, traces: Listening) -> None:
        self.place, self.daemon, self.webhooks, self.traces = place, daemon, webhooks, traces
        self.event = ""
        self.jobs: list[dict[str, Any]] = []

    def lines(self) -> list[dict[str, Any]]:
        said = [json.loads(line) for line in self.daemon.log.splitlines() if line.startswith("{")]
        return [line for line in said if line.get("requestId") == REQUEST]

    def spans(self) -> dict[str, Any]:
        """By name, of the trace that the client began."""
        return {span.name: span for span in self.traces.spans() if span.trace_id.hex() == TRACE}


@pytest.fixture
def followed(place: Place) -> Iterator[Followed]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")
    project, key = place.project(), key_of(place)
    place.value("update outbox.projects set egress = true returning id")
    with listening() as webhooks, listening() as traces:
        daemon = place.serve(
            roles="api,work", generation="per-event", provider="offline", log_access="all", log_level="debug",
            egress_allow="127.0.0.1/32", egress_ports="any", egress_http="on", otel="on",
            OTEL_EXPORTER_OTLP_ENDPOINT=traces.url, OTEL_BSP_SCHEDULE_DELAY="100",
        ).ready()  # fmt: skip
        found = Followed(place, daemon, webhooks, traces)
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{daemon.port}", headers={"authorization": f"Bearer {key}"}
        ) as http:
            made = http.post("/v1/endpoints", json={"url": f"{webhooks.url}/"})
            assert 201 == made.status_code, made.text
            sent = http.post(
                "/v1/events?wait=true",
                json={"projectId": project, **EVENT},
                headers={"x-request-id": REQUEST, "traceparent": PARENT},
            )
            assert (201, REQUEST) == (sent.status_code, sent.headers["x-request-id"])
            place.until("select count(*) >= 2 from outbox.attempts where outcome = 'completed'")
            found.event = sent.json()["event"]["id"]
            found.jobs = http.get("/v1/jobs", params={"requestId": REQUEST}).json()["jobs"]
        yield found


def test_one_request_is_followed_by_its_id_and_by_its_trace(followed: Followed) -> None:
    ids_are_everywhere(followed)
    spans_are_children_of_what_the_event_keeps(followed)
    nothing_private_is_told(followed)


def ids_are_everywhere(followed: Followed) -> None:
    place = followed.place
    assert REQUEST == place.value("select request_id from outbox.events where id = %s", followed.event)
    assert {"observe", "deliver"} == {job["handler"] for job in followed.jobs}
    said = {line["event"]: line for line in followed.lines()}
    assert {"request", "job completed"} <= set(said), followed.daemon.log
    assert {TRACE} == {line["traceId"] for line in said.values()}
    assert {"endpoint", "observe"} == {
        re.sub(":.*", "", line["queue"]) for line in followed.lines() if line["event"] == "job completed"
    }
    names = "ts level event role worker project job queue handler ms requestId traceId"
    assert set(names.split()) <= set(said["job completed"])


def spans_are_children_of_what_the_event_keeps(followed: Followed) -> None:
    wanted = {"POST /v1/events", "publish", "attempt", "delivery", "call offline"}
    until = time.monotonic() + 10
    while not wanted <= set(followed.spans()) and time.monotonic() < until:
        time.sleep(0.05)
    spans = followed.spans()
    assert wanted == set(spans)
    root = spans.pop("POST /v1/events")
    assert "b7ad6b7169203331" == root.parent_span_id.hex()
    kept = followed.place.value("select traceparent from outbox.events where id = %s", followed.event)
    assert f"00-{TRACE}-{root.span_id.hex()}-01" == kept
    assert {root.span_id} == {span.parent_span_id for span in spans.values()}
    ((_, headers, _),) = followed.webhooks.got
    assert f"00-{TRACE}-{spans['delivery'].span_id.hex()}-01" == headers["traceparent"]


def nothing_private_is_told(followed: Followed) -> None:
    exported = b"".join(
        gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        for _, headers, body in followed.traces.got
    )
    assert SECRET.encode() not in exported
    assert SECRET not in followed.daemon.log
    told = {each.key for span in followed.traces.spans() for each in span.attributes}
    assert told <= ALLOWED


@pytest.mark.nightly
def test_a_collector_that_is_away_holds_up_nothing(place: Place) -> None:
    nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    daemon = place.serve(otel="on", **nowhere).ready()
    assert 404 == daemon.status("/nowhere", daemon.port)
    daemon.signal(signal.SIGTERM)
    assert 0 == daemon.gone(6), daemon.log


def test_traces_without_their_library_end_the_boot_with_a_sentence(tmp_path: Path) -> None:
    # A package of that name that has nothing in it hides the real one.
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    given = {"PYTHONPATH": str(tmp_path), "OUTBOXD_OTEL": "on", "OUTBOXD_DATABASE_URL": "postgresql:///x"}
    started = [sys.executable, "-m", "outboxd", "serve"]
    ended = run(started, env=given, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 2 == ended.returncode
    assert "OUTBOXD_OTEL: on, but the library is not installed: pip install 'outboxd[otel]'" in ended.stderr


def test_off_nothing_of_the_library_is_loaded() -> None:
    look = "import sys, outboxd.daemon; print([name for name in sys.modules if name.startswith('opentel')])"
    told = run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "[]" == told.stdout.strip()
