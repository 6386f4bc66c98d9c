"""The layers that every request passes, whatever its path, in the order of `app.LAYERS`."""

import re
import time
from datetime import timedelta
from functools import partial
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outboxd import telemetry
from outboxd.api import problems
from outboxd.api.exchange import Api, Exchange, Header, of, send_reply
from outboxd.errors import (
    Broken,
    Error,
    HeadersTooLarge,
    Overloaded,
    ShuttingDown,
    UriTooLong,
)
from outboxd.telemetry import spans

log = structlog.get_logger()

_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
LONGEST_STATE = 512
LONGEST_LINE = 8 * 1024
LONGEST_HEADERS = 32 * 1024
_SLOW = 1.0
_UNKNOWN = "unknown"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECURITY: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-dns-prefetch-control", b"off"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"origin-agent-cluster", b"?1"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class RequestIds:
    """Makes the exchange. Its id is on every reply, with the headers that the other layers left."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self._api, scope, receive, "")
        given = exchange.headers.get(b"x-request-id")
        known = given is not None and _REQUEST_ID.fullmatch(given)
        exchange.request_id = given.decode() if known and given else str(uuid4())
        exchange.extra.append((b"x-request-id", exchange.request_id.encode()))
        scope["exchange"] = exchange

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message["headers"], *exchange.extra]
            await send(message)

        await self._app(scope, receive, told)


class Traces:
    """Keeps the caller's trace context (W3C); a malformed one is as none. What the request leaves behind is
    a child of its span, where traces are on."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            exchange = of(scope)
            parent = exchange.headers.get(b"traceparent")
            if parent is not None and TRACEPARENT.fullmatch(parent) and _single(scope, b"traceparent"):
                exchange.traceparent = parent.decode("ascii", "replace")[:55]
                exchange.tracestate = _state(exchange)
            with spans.span("request", exchange.traceparent, exchange.tracestate) as span:
                exchange.traceparent = span.traceparent or exchange.traceparent
                await self._app(scope, receive, send)
                method = exchange.method if exchange.method in _METHODS else "other"
                span.rename(f"{method} {exchange.template or _UNKNOWN}")
                span.note(request=exchange.request_id)
                span.ended(str(exchange.status), failed=exchange.status >= 500)
            return
        await self._app(scope, receive, send)


class SecurityHeaders:
    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            of(scope).extra.extend(SECURITY)
        await self._app(scope, receive, send)


class Problems:
    """The one funeral of errors: each becomes a reply here, counted and, where it matters, logged."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._access = api.config.log_access
        self._counters: dict[tuple[str, str, int], object] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = of(scope)
        try:
            await self._app(scope, receive, send)
        except Error as failed:
            await self._refuse(exchange, failed, send)
        except Exception as failed:  # noqa: BLE001 - a defect of ours answers 500 and nothing else of it leaks
            defect = Broken("unforeseen")
            defect.__cause__ = failed
            await self._refuse(exchange, defect, send)
        finally:
            self._count(exchange)

    async def _refuse(self, exchange: Exchange, error: Error, send: Send) -> None:
        if isinstance(error, Broken):
            log.error(
                "request broke", request_id=exchange.request_id, trace_id=_trace(exchange), exc_info=error
            )
        if not exchange.status:
            operation = getattr(exchange, "operation", None)
            legacy = operation.legacy if operation is not None else {}
            await send_reply(problems.reply(exchange.request_id, error, legacy), exchange.method, send)

    def _count(self, exchange: Exchange) -> None:
        route = exchange.template or _UNKNOWN
        method = exchange.method if exchange.method in _METHODS else "other"
        spent = time.monotonic() - exchange.started if exchange.took is None else exchange.took
        telemetry.HTTP_REQUESTS_TOTAL.labels(route, method, exchange.status).inc()
        telemetry.HTTP_REQUEST_SECONDS.labels(route).observe(spent)
        slow = exchange.status >= 500 or spent > _SLOW
        if self._access == "all" or (self._access == "slow" and slow):
            log.info(
                "request",
                route=route,
                method=method,
                status=exchange.status,
                ms=round(spent * 1000),
                request_id=exchange.request_id,
                trace_id=_trace(exchange),
                unfolded=self._access == "all",
            )


class Gate:
    """Says full and closing aloud. Probes pass: somebody has to be told."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._api = api
        self._most = api.config.max_requests
        self._running: set[object] = set()
        telemetry.HTTP_IN_FLIGHT.set_function(lambda: len(self._running))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        exchange = of(scope)
        _check_size(exchange)
        if self._api.readiness.draining:
            telemetry.HTTP_REFUSED_TOTAL.labels("draining").inc()
            raise ShuttingDown("this server is stopping")
        if len(self._running) >= self._most:
            telemetry.HTTP_REFUSED_TOTAL.labels("full").inc()
            raise Overloaded("too many requests at once", timedelta(seconds=1))
        # Not the exchange itself: it would hold what holds it, and wait for the collector.
        place = object()
        self._running.add(place)
        exchange.leave = partial(self._running.discard, place)
        try:
            await self._app(scope, receive, send)
        finally:
            exchange.leave()


PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics", "/api/health", "/api/readiness"})


def _check_size(exchange: Exchange) -> None:
    scope = exchange.scope
    if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > LONGEST_LINE:
        raise UriTooLong("the request line is too long")
    if sum([len(name) + len(value) for name, value in scope["headers"]]) > LONGEST_HEADERS:
        raise HeadersTooLarge("the headers are too large")


def _trace(exchange: Exchange) -> str | None:
    return None if exchange.traceparent is None else exchange.traceparent[3:35]


def _single(scope: Scope, name: bytes) -> bool:
    return sum(1 for given, _ in scope["headers"] if given == name) == 1


def _state(exchange: Exchange) -> str | None:
    given = exchange.headers.get(b"tracestate")
    if given is None or len(given) > LONGEST_STATE or not given.isascii():
        return None
    return given.decode()
