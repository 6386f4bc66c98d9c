"""up, serve, work, health, and events through a running server: one good run and one bad input each."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.place import Run, runner
from tests.cli.yard import Yard

UNKNOWN = "0197f1c2-7a00-7000-8000-000000000001"
SEALING = "k1:" + b64encode(b"k" * 32).decode()
QUICK = {"OUTBOXD_DRAIN_DELAY_S": "0", "OUTBOXD_DRAIN_S": "3", "OUTBOXD_SECRET_KEYS": SEALING}

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def environment(dsn: str, **settings: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "OUTBOXD_DATA": "/nonexistent/outboxd",
        "OUTBOXD_DATABASE_URL": dsn,
        **QUICK,
        **settings,
    }


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(environ, "serve")`: a process that is told to stop at the end, and must end with 0."""
    running: list[subprocess.Popen[str]] = []

    def begin(environ: Mapping[str, str], *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "outboxd", *words]
        child = subprocess.Popen(
            command, env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running.append(child)
        return child

    yield begin
    for child in running:
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=20)
        assert child.returncode == 0, said


def until_healthy(run: Run, child: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 20
    while run("health").exit != 0:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def served(dsn: str, yard: Yard, start: Start, capsys: pytest.CaptureFixture[str]) -> Run:
    """Commands beside `outboxd serve`, with the key of the project `shop`."""
    port = str(free_port())
    bare = runner(dsn, capsys)
    made = bare("keys", "create", "--project", "shop", "--scope", "events:write", "--json").json()
    run = runner(dsn, capsys, OUTBOXD_PORT=port, OUTBOXD_API_KEY=made["key"])
    until_healthy(run, start(environment(dsn, OUTBOXD_PORT=port), "serve"))
    return run


def test_a_served_process_is_healthy_and_takes_events(
    served: Run, yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (0, "ready\n") == (served("health").exit, served("health").out)
    assert {"status": "ok"} == served("health", "--live", "--json").json()

    served("routes", "add", "order.*", "work", "--project", "shop")
    words = ("order.paid", "--data", '{"order":7}', "--key", "order-7")
    one = served("events", "publish", *words, "--json").json()
    assert one["id"] == one["event"]["id"]
    assert {"order": 7} == one["event"]["payload"]
    again = served("events", "publish", *words)
    assert one["id"] in again.out
    assert "duplicate   yes" in again.out

    file = tmp_path / "order.json"
    file.write_text('{"order": 8}')
    served("events", "publish", "order.paid", "--data", f"@{file}", "--ordering-key", "a")

    lines = [json.dumps({"order": n}) for n in range(9, 510)]
    lines.append(json.dumps({"eventType": "order.sent", "payload": {"order": 1}}))
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n\n"))
    many = served("events", "publish", "order.paid", "--data", "-", "--json").json()["events"]
    assert 502 == len({each["id"] for each in many})
    assert "order.sent" == many[-1]["eventType"]
    assert 504 == yard.value("select count(*) from outbox.events")
    # The others are those of generation, one an event.
    made = "select count(*) from outbox.jobs j join outbox.queues q on q.id = j.queue_id where q.name = %s"
    assert (504, 504) == (yard.value(made, "work"), yard.value(made, "observe"))

    listed = served("events", "--type", "order.sent", "--project", "shop", "--json").json()["events"]
    assert [many[-1]["id"]] == [event["id"] for event in listed]
    assert 50 == len(served("events", "--since", "1h", "--json").json()["events"])

    off = 'update outbox.projects set settings = \'{"generation": {"policy": "off"}}\' returning true'
    assert yard.value(off)
    waited = served("events", "publish", "order.done", "--data", "{}", "--wait", "--json").json()
    assert waited["generationJob"] is None


def test_an_event_is_shown_with_its_jobs_and_without_its_payload(cli: Run, yard: Yard) -> None:
    cli("routes", "add", "order.*", "work", "--project", "shop")
    event = str(
        yard.value("select outbox.publish('order.paid', '{\"secret\": 1}', p_project => %s)", yard.project)
    )
    shown = cli("events", "show", event, "--json")
    assert {"event", "jobs", "timeline"} == set(shown.json())
    assert ["work"] == [job["queue"] for job in shown.json()["jobs"]]
    assert ["received", "job_queued"] == [entry["kind"] for entry in shown.json()["timeline"]]
    assert "secret" not in shown.out
    assert {"secret": 1} == cli("events", "show", event, "--payload", "--json").json()["event"]["payload"]


def test_bad_input_to_a_server_is_told_with_its_exit_code(
    served: Run, dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    stranger = runner(dsn, capsys, OUTBOXD_API_KEY="obx_nobody")
    for run, words, status, said in [
        (served, ("publish", "outboxd.mine"), 1, "outboxd."),
        (served, ("publish", "x", "--data", "{"), 2, "no JSON"),
        (served, ("publish", "x", "--data", "@/nonexistent"), 1, "cannot be read"),
        (served, ("publish", "x", "--data", "-", "--key", "k"), 2, "--key"),
        (served, ("publish", "x", "--url", nobody), 3, "cannot be reached"),
        (served, ("publish", "x", "--url", "nonsense"), 2, "OUTBOXD_URL"),
        (stranger, ("publish", "x", "--url", nobody), 3, "cannot be reached"),
        (runner(dsn, capsys), ("publish", "x"), 2, "OUTBOXD_API_KEY"),
        (served, ("list", "--type"), 2, "--type"),
        (served, ("list", "--project", "nothing"), 1, "Project not found"),
        (served, ("show", UNKNOWN), 1, "no event"),
    ]:
        answer = run("events", *words)
        assert (status, "") == (answer.exit, answer.out), (words, answer)
        assert said in answer.err
        assert {"error", "message"} == set(json.loads(run("events", *words, "--json").err))
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"n": 1}\nnothing\n'))
    answer = served("events", "publish", "x", "--data", "-")
    assert (2, "error: line 2 is no JSON\n") == (answer.exit, answer.err)


def test_a_revoked_key_is_refused_with_1(served: Run) -> None:
    assert served("events", "publish", "x").exit == 0
    [key] = served("keys", "--json").json()["keys"]
    served("keys", "revoke", key["id"])
    answer = served("events", "publish", "x")
    assert (1, "") == (answer.exit, answer.out)
    assert answer.err.startswith("error: ")


def test_up_on_a_database_prints_its_keys_once_and_serves(
    dsn: str, start: Start, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    port = str(free_port())
    environ = environment(dsn, OUTBOXD_DATA=str(tmp_path))
    child = start(environ, "up", "--port", port)
    assert child.stdout is not None
    first = child.stdout.readline()
    assert f"http://127.0.0.1:{port}" in first
    run = runner(dsn, capsys, OUTBOXD_PORT=port, OUTBOXD_DATA=str(tmp_path))
    until_healthy(run, child)
    # The key of client.json is the one that commands use.
    assert run("events", "publish", "hello").exit == 0


def test_work_ends_when_nothing_is_due(dsn: str, yard: Yard) -> None:
    command = [sys.executable, "-m", "outboxd", "work", "--drain", "--slots", "5", "--threads", "2"]
    done = subprocess.run(command, env=environment(dsn), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("up", "--port", "much"), 2, "OUTBOXD_PORT"),
        (("serve", "--nonsense"), 2, "--nonsense"),
        (("work", "--slots", "0"), 2, "OUTBOXD_WORKER_SLOTS"),
        (("work", "--app", "tests.nothing:app"), 2, "tests.nothing"),
        (("work", "--queues", "a b"), 2, "OUTBOXD_WORKER_QUEUES"),
        (("health", "--loud"), 2, "--loud"),
        (("demo", "--fast"), 2, "--fast"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_bad_input_to_a_daemon_is_told_with_its_exit_code(
    dsn: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, said: str
) -> None:
    answer = runner(dsn, capsys, OUTBOXD_SECRET_KEYS=SEALING)(*words)
    assert (status, "") == (answer.exit, answer.out)
    assert said in answer.err


def test_an_address_in_use_is_exit_5(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = runner(dsn, capsys, OUTBOXD_PORT=port)("serve")
    assert 5 == answer.exit
    assert port in answer.err


def test_serving_without_a_database_is_exit_2() -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "OUTBOXD_DATA": "/nonexistent"}
    for command in ("serve", "work"):
        done = subprocess.run(
            [sys.executable, "-m", "outboxd", command],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 2 == done.returncode
        assert "OUTBOXD_DATABASE_URL" in done.stderr


def test_nobody_there_is_unhealthy(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = runner(dsn, capsys, OUTBOXD_PORT=str(free_port()))("health", "--json")
    assert (1, "unreachable") == (answer.exit, answer.json()["status"])
