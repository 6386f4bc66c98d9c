"""uvicorn as we run it: our signals, our limits on what has not become a request yet, no banner.

The layers of the app see a request once its head is complete. Before that only the protocol knows:
a head that never ends is cut at 40 KiB (431, or 414 while it is still its first line), one that does
not come in 30 s is answered 408, and what is no HTTP gets a problem document too.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from outboxd.api import problems
from outboxd.api.bodies import ARRIVES_IN
from outboxd.api.edge import LONGEST_HEADERS, LONGEST_LINE, SECURITY
from outboxd.api.exchange import ABORT, Reply
from outboxd.config import Config
from outboxd.errors import BadRequest, Error, HeadersTooLarge, RequestTimeout, UriTooLong

_LONGEST_HEAD = LONGEST_LINE + LONGEST_HEADERS
_LINGER = 1.0
_KEEP_ALIVE = 75
"""Seconds; longer than what proxies keep theirs, so that none sends into a connection being closed."""


class Server(uvicorn.Server):
    """Signals are the daemon's: uvicorn would raise them again after serving."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serving(app: ASGIApp, config: Config, **given: Any) -> uvicorn.Config:
    """For `Server(serving(app, config))`; `given` goes to uvicorn as it is."""
    return uvicorn.Config(
        app,
        **{
            "host": config.host,
            "port": config.port,
            "http": protocol(),
            "ws": "none",
            "lifespan": "off",
            "log_config": None,
            "access_log": False,
            "proxy_headers": False,
            "server_header": False,
            "timeout_keep_alive": _KEEP_ALIVE,
            "timeout_graceful_shutdown": round(config.drain.total_seconds()),
            "h11_max_incomplete_event_size": 2 * _LONGEST_HEAD,
            **given,
        },
    )


def protocol() -> type[asyncio.Protocol]:
    """The quick parser where it is installed."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return type("GuardedH11", (Guarded, H11Protocol), {})
    return type("GuardedHttpTools", (Guarded, HttpToolsProtocol), {})


if TYPE_CHECKING:
    _Uvicorn = H11Protocol
else:
    _Uvicorn = object


class Guarded(_Uvicorn):
    """Over one of uvicorn's protocols: counts and times a head until it has become a request."""

    _head = 0
    _line_ended: bool = False
    _refused: bool = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _cuttable(self.app, transport)
        self._timer = self.loop.call_later(ARRIVES_IN, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        before = self.cycle
        in_head = _no_request(before)
        if in_head:
            self._head += len(data)
            self._line_ended |= b"\n" in data
            if self._timer is None:
                self._timer = self.loop.call_later(ARRIVES_IN, self._too_late)
        super().data_received(data)
        if self.cycle is not before:
            self._settle()
        elif in_head and self._head > _LONGEST_HEAD and not self._refused:
            self._refuse(HeadersTooLarge("the headers are too large") if self._line_ended else _long_line())

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest("this is not a valid HTTP request"))

    def _settle(self) -> None:
        self._head, self._line_ended = 0, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self._head:
            self._refuse(RequestTimeout("the request did not arrive in time"))
        else:
            self.transport.close()

    def _refuse(self, error: Error) -> None:
        """Answers, and reads on for a moment: closing on unread bytes resets, and the answer is lost."""
        self._settle()
        self._refused = True
        request_id = str(uuid4())
        self.transport.write(_written(problems.reply(request_id, error), request_id))
        self.transport.write_eof()
        self.loop.call_later(_LINGER, self.transport.close)


def _cuttable(app: ASGIApp, transport: asyncio.Transport) -> ASGIApp:
    """What waits for a client that reads nothing would keep its connection for hours: `ABORT` drops it."""

    async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
        scope[ABORT] = transport.abort
        await app(scope, receive, send)

    return cuttable


def _no_request(cycle: Any) -> bool:
    """Is what comes next the head of a request, and not the body of one?"""
    return cycle is None or cycle.response_complete or not cycle.more_body


def _long_line() -> UriTooLong:
    return UriTooLong("the request line is too long")


def _written(reply: Reply, request_id: str) -> bytes:
    """A whole response, for a connection on which there is no request to answer."""
    headers = (
        *reply.headers,
        *SECURITY,
        (b"x-request-id", request_id.encode()),
        (b"content-length", b"%d" % len(reply.body)),
        (b"connection", b"close"),
    )
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d \r\n%b\r\n%b" % (reply.status, lines, reply.body)
