import io
import json
import logging
import os
import pty
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict

import outboxd
from outboxd import config, telemetry
from outboxd.config import Machine
from outboxd.config.kinds import Secret
from outboxd.errors import NotFound
from outboxd.telemetry.logs import Folding
from tests.proofs import proves

GIVEN = {"OUTBOXD_DATABASE_URL": "postgresql:///x"}
HOST = Machine(root=False, home=Path("/home/ann"), container=False)


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def logged(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def configured(stream: io.BytesIO, **environ: str) -> Any:
    settings = config.read(environ, command="up", machine=HOST)
    telemetry.configure_logging(settings, worker="w1", stream=stream)
    return structlog.get_logger()


def test_a_line_is_one_json_object_with_the_promised_names() -> None:
    stream = io.BytesIO()
    configured(stream).info("job failed", job="j1", queue="observe", request_id="r1", code=None, ms=12)
    (line,) = logged(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("ts"))
    assert line == {
        "level": "info",
        "event": "job failed",
        "role": "api+work",
        "worker": "w1",
        "job": "j1",
        "queue": "observe",
        "requestId": "r1",
        "ms": 12,
    }


def test_a_process_that_has_become_a_worker_says_so_on_every_line() -> None:
    stream = io.BytesIO()
    log = configured(stream)
    telemetry.tells_worker("w2")
    log.info("claims")
    telemetry.tells_worker(None)
    log.info("fenced")
    assert [line.get("worker") for line in logged(stream)] == ["w2", None]


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.BytesIO()
    log = configured(stream, OUTBOXD_LOG_LEVEL="warning")
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in logged(stream)] == ["loud"]


def test_a_newline_in_a_value_does_not_make_a_second_line() -> None:
    stream = io.BytesIO()
    configured(stream).info("odd", type='a\n{"event":"forged"}')
    assert [line["event"] for line in logged(stream)] == ["odd"]


@proves("G8")
def test_a_secret_is_not_written() -> None:
    stream = io.BytesIO()
    configured(stream).info("odd", key=Secret("hunter2secret"), nested=[Secret("hunter2secret")])
    assert b"hunter2secret" not in stream.getvalue()


@proves("G8")
def test_an_exception_tells_where_but_not_what_a_driver_says() -> None:
    stream = io.BytesIO()
    log = configured(stream)
    quoted = "ann@example.com"
    error = NotFound("no job 1")
    error.__cause__ = ValueError(f"Key (email)=({quoted}) already exists")
    try:
        raise error
    except NotFound:
        log.exception("request failed")
    (line,) = logged(stream)
    assert quoted not in line["exception"]
    assert "builtins.ValueError" in line["exception"]
    assert "outboxd.errors.NotFound: no job 1" in line["exception"]
    assert Path(__file__).name in line["exception"]


def test_lines_of_other_loggers_go_the_same_way() -> None:
    stream = io.BytesIO()
    configured(stream)
    logging.getLogger("uvicorn.error").warning("port %s in use", 8377)
    logging.getLogger("odd").error("%s %s", *["one"])
    logging.getLogger("custom").log(35, "between levels")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
    lines = logged(stream)
    assert [(line["logger"], line["level"]) for line in lines] == [
        ("uvicorn.error", "warning"),
        ("odd", "error"),
        ("custom", "warning"),
        ("py.warnings", "warning"),
    ]
    assert lines[0]["event"] == "port 8377 in use"


@proves("G8")
def test_what_a_collector_of_traces_answers_is_not_quoted() -> None:
    stream = io.BytesIO()
    configured(stream)
    logging.getLogger("opentelemetry.exporter.otlp").error(
        "Failed to export: 400, reason: %s", "hunter2secret"
    )
    (line,) = logged(stream)
    assert (line["event"], line["level"]) == ("traces not sent", "warning")
    assert b"hunter2" not in stream.getvalue()


@proves("G8")
def test_access_lines_of_libraries_which_hold_queries_are_off() -> None:
    stream = io.BytesIO()
    configured(stream)
    for name in ("uvicorn.access", "httpx", "httpcore.connection"):
        logging.getLogger(name).info("GET /?token=hunter2secret")
    assert stream.getvalue() == b""


def test_a_terminal_gets_text_and_a_pipe_gets_json() -> None:
    terminal, pipe = Terminal(), io.BytesIO()
    configured(terminal).info("listening", port=8377)
    configured(pipe).info("listening", port=8377)
    assert b"listening" in terminal.getvalue()
    assert not terminal.getvalue().startswith(b"{")
    assert logged(pipe)[0]["port"] == 8377


def test_equal_lines_are_folded_into_one_with_their_number() -> None:
    stream = io.BytesIO()
    log = configured(stream)
    for number in range(5):
        log.warning("lease lost", job=number, queue="observe")
    log.warning("lease lost", job=5, queue="summarize")
    telemetry.flush_logs()
    assert [(line["job"], line.get("repeated")) for line in logged(stream)] == [(0, None), (5, None), (4, 4)]


def test_lines_that_somebody_asked_for_each_of_are_not_folded() -> None:
    stream = io.BytesIO()
    log = configured(stream)
    for number in range(3):
        log.info("request", request_id=f"r{number}", unfolded=True)
    assert [(line["requestId"], "unfolded" in line) for line in logged(stream)] == [
        ("r0", False),
        ("r1", False),
        ("r2", False),
    ]


def test_a_fold_ends_after_ten_seconds() -> None:
    written: list[EventDict] = []
    now = 0.0
    folding = Folding(written.append, lambda: now)

    def say(event: str) -> bool:
        try:
            folding(None, "", {"event": event})
        except structlog.DropEvent:
            return False
        return True

    assert [say("a"), say("a"), say("a")] == [True, False, False]
    now = 9.9
    assert say("a") is False
    now = 10.0
    assert say("b") is True
    assert written == [{"event": "a", "repeated": 3}]
    assert say("a") is True
    now = 20.0
    assert say("b") is True
    assert len(written) == 1


@proves("G3")
def test_what_is_remembered_for_folding_is_bounded() -> None:
    folding = Folding(lambda _: None, lambda: 0.0)
    for number in range(5000):
        folding(None, "", {"event": f"hostile {number}"})
    assert len(folding._lines) == 1000


def test_no_log_line_is_put_together_with_an_f_string() -> None:
    sources = Path(outboxd.__file__).parent.rglob("*.py")
    says = re.compile(
        r"\blog\.(debug|info|warning|error|exception|critical)\(\s*(f[\"']|[\"'][^\"']*[\"']\s*%)"
    )
    assert [path.name for path in sources if says.search(path.read_text())] == []


@pytest.mark.parametrize("buffered", [0, -1])
def test_a_log_that_cannot_be_written_ends_nothing(buffered: int) -> None:
    with Path("/dev/full").open("wb", buffering=buffered) as full:
        telemetry.configure_logging(config.read(GIVEN, command="serve"), stream=full)
        structlog.get_logger().warning("the disk is full")
        telemetry.flush_logs()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_terminal_that_hung_up_is_not_written_to_again() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb") as terminal:
        telemetry.configure_logging(config.read(GIVEN, command="serve"), stream=terminal)
        os.close(ours)
        for line in ("hung up", "and again"):
            structlog.get_logger().warning(line)
        assert not terminal.isatty()
