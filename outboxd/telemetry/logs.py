"""Logs: one line an outcome on stderr, JSON for programs, text for a terminal.

Equal lines (event, code, queue) within 10 s are folded: the first is written at once, the others
are counted, and the last of them is written with `repeated` when its time is over. Exceptions show
where they came from and of which class they are, but in words only when they are ours: a driver's
or a provider's message may quote a row or a payload. Lines of the stdlib's loggers (uvicorn's, …)
go the same way.
"""

import errno
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from outboxd.config import Config
from outboxd.errors import Error

UNFOLDED = "unfolded"
"""A line with this, true, is written whatever was said before: somebody asked for each of them."""
_FOLD_SECONDS = 10.0
_FOLD_LINES = 1000
"""Different lines remembered at once; more are written unfolded."""
_OUTWARD = {"request_id": "requestId", "trace_id": "traceId"}
_FIRST = ("ts", "level", "event", "logger", "role", "worker")
_EXPORTER = "opentelemetry"
_ENCODER = msgspec.json.Encoder(enc_hook=repr)

_Key = tuple[object, object, object]


class Folding:
    """Remembers what was said lately. `write` takes a line that is due after its time."""

    def __init__(self, write: Callable[[EventDict], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._lock = threading.Lock()  # the beat's thread logs too
        self._lines: dict[_Key, _Line] = {}

    def __call__(self, _: Any, __: str, line: EventDict) -> EventDict:
        self.flush(older_than=_FOLD_SECONDS)
        if line.pop(UNFOLDED, False):
            return line
        key = (line.get("event"), line.get("code"), line.get("queue"))
        with self._lock:
            known = self._lines.get(key)
            if known is None:
                if len(self._lines) < _FOLD_LINES:
                    self._lines[key] = _Line(self._now())
                return line
            known.repeated, known.last = known.repeated + 1, dict(line)
        raise structlog.DropEvent

    def flush(self, older_than: float = 0.0) -> None:
        """Writes what was counted and forgets it."""
        with self._lock:
            # In order of their first line, so the search ends at the first one that is young.
            due = []
            for key, line in self._lines.items():
                if self._now() - line.since < older_than:
                    break
                due.append(key)
            over = [self._lines.pop(key) for key in due]
        for line in over:
            if line.repeated:
                self._write({**line.last, "repeated": line.repeated})


class _Line:
    __slots__ = ("last", "repeated", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.repeated = 0
        self.last: EventDict = {}


class _Lossy:
    """A stream that drops what it cannot write: a full disk, or a terminal that hung up, ends no process."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.isatty = stream.isatty

    def write(self, line: bytes) -> None:
        self._tried(lambda: self._stream.write(line))

    def flush(self) -> None:
        self._tried(self._stream.flush)

    def _tried(self, attempt: Callable[[], object]) -> None:
        try:
            attempt()
        except OSError as failed:
            if failed.errno in {errno.EIO, errno.EPIPE}:
                # Nobody will ever read there. What Python still holds for it must not fail again at the end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


class _Relay(logging.Handler):
    """Hands what the stdlib's loggers say to ours."""

    def __init__(self) -> None:
        super().__init__()
        self._log = structlog.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        if record.name.startswith(_EXPORTER):
            # Its words quote what the collector answered.
            self._log.warning("traces not sent", logger=record.name)
            return
        told = {"exc_info": record.exc_info} if record.exc_info else {}
        self._log.log(level, _message(record), logger=record.name, **told)


_folding: Folding | None = None
_always: dict[str, str] = {}
"""What every line says of the process."""


def configure_logging(config: Config, *, worker: str | None = None, stream: BinaryIO | None = None) -> None:
    """Sets up structlog and the stdlib's logging once, at the start; `stream` is stderr but in tests."""
    global _folding  # noqa: PLW0603 - structlog's configuration is as global as this
    to = _Lossy(stream or sys.stderr.buffer)
    text = config.log_format == "text" or (config.log_format == "auto" and to.isatty())
    render = _text(to.isatty()) if text else _json
    _folding = Folding(lambda line: _put(to, render(line)))
    structlog.configure(
        processors=[*_told(config, worker), _folding, lambda _, __, line: render(line)],
        wrapper_class=structlog.make_filtering_bound_logger(config.log_level),
        logger_factory=lambda *_: structlog.BytesLogger(cast("BinaryIO", to)),
        cache_logger_on_first_use=True,
    )
    _take_over(config)


def tells_worker(worker: str | None) -> None:
    """From now on every line says which worker this process is; None: none."""
    if worker is None:
        _always.pop("worker", None)
    else:
        _always["worker"] = worker


def flush_logs() -> None:
    """Writes what is still counted: once in a while, and at the end."""
    if _folding is not None:
        _folding.flush()


def _told(config: Config, worker: str | None) -> list[Processor]:
    _always.clear()
    _always["role"] = "+".join(config.roles)
    tells_worker(worker)
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        lambda _, __, line: {**_always, **line},
        _exception,
        _outward,
    ]


def _outward(_: Any, __: str, line: EventDict) -> EventDict:
    """The names that people know from replies; what is unknown is absent; the usual ones first."""
    named = {_OUTWARD.get(name, name): value for name, value in line.items() if value is not None}
    first = {name: named.pop(name) for name in _FIRST if name in named}
    return {**first, **named}


def _exception(_: Any, __: str, line: EventDict) -> EventDict:
    raised = line.pop("exc_info", None)
    error = raised[1] if isinstance(raised, tuple) else raised
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        line["exception"] = "\n".join(_story(error))
    return line


def _story(error: BaseException) -> list[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    state = getattr(error, "sqlstate", None)
    words = f"{name}: {error}" if isinstance(error, Error) else f"{name} {state}" if state else name
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return [
        *(_story(before) if before else ()),
        *(part for part in (frames, words) if part),
        *(part for child in inner for part in _story(child)),
    ]


def _json(line: EventDict) -> bytes:
    return _ENCODER.encode(line)


def _text(colors: bool) -> Callable[[EventDict], bytes]:
    render = structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="ts", pad_event_to=24)
    return lambda line: str(render(None, "", line)).encode()


def _put(stream: "_Lossy", line: bytes) -> None:
    stream.write(line + b"\n")
    stream.flush()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        # The caller's arguments do not go with its format; its words are better than none.
        return str(record.msg)


def _take_over(config: Config) -> None:
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers = [_Relay()]
    root.setLevel(config.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = name != "uvicorn.access"
    # They say every request at info, with its query; ours are logged by us.
    for name in ("httpx", "httpcore", "urllib3", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
