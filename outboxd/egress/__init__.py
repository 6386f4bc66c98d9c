"""Outgoing HTTP: one request to somebody else's server, and what must not be dialled.

Everything below `Egress.send` is bounded: connecting with its look-up 5 s, headers of the answer
32 KiB, its body 64 KiB and then the connection is closed. Redirects, cookies, compression and the
environment's proxies do not exist here: requests go to the transport, below where the library has
them. This is the only package that imports the HTTP client library.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import NoReturn

import httpcore
import httpx
import msgspec

from outboxd import telemetry
from outboxd.config import Config
from outboxd.egress.addresses import Address, Guard, is_own
from outboxd.egress.dialling import PROGRESS, GuardedBackend, Progress, Resolve, judged, resolve
from outboxd.egress.trust import trusting
from outboxd.errors import Blocked, Overloaded, Unreachable

CONNECT = timedelta(seconds=5)
"""For look-up and connection together, and again for TLS."""
MOST_HEADER_BYTES = 32 * 1024
MOST_BODY_BYTES = 64 * 1024
MOST_URL_CHARS = 2048

# More calls at once than workers have slots by default, fewer than a process has file descriptors.
_LIMITS = httpx.Limits(max_connections=500, max_keepalive_connections=100, keepalive_expiry=30)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    method: str = "POST"
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: Mapping[str, str]
    """Names in lower case; of several with one name the last."""
    body: bytes
    """As it came, up to 64 KiB or to where it broke off."""
    address: str | None
    """Who answered: the address that was judged and dialled."""
    took: timedelta


class Egress:
    """Made once for a process by `Egress.open`.

    `trusted` is whether the project was opted in to the deployment's allow-list by an operator.
    """

    def __init__(self, doors: Mapping[tuple[bool, bool], "_Door"]) -> None:
        self._doors = doors

    @classmethod
    @asynccontextmanager
    async def open(
        cls, config: Config, *, look_up: Resolve = resolve, own: Callable[[Address], bool] = is_own
    ) -> AsyncIterator["Egress"]:
        secure = trusting(config.egress_ca_file)
        async with AsyncExitStack() as stack:
            doors = {
                (trusted, plain): await stack.enter_async_context(_Door(config, guard, look_up, secure))
                for trusted in (False, True)
                for plain in (False, True)
                for guard in [_guard(config, trusted=trusted, plain=plain, own=own)]
            }
            yield cls(doors)

    async def check(self, url: str, *, trusted: bool) -> None:
        """Raises Blocked if `url` could not be called now, for quick words to whoever enters it."""
        host, port, plain = _parts(url)
        door = self._doors[trusted, plain]
        try:
            async with asyncio.timeout(CONNECT.total_seconds()):
                await judged(door.guard, door.look_up, host, port)
        except (Unreachable, TimeoutError):
            raise Blocked("the target's name does not resolve") from None

    def is_exempt(self, address: str | None) -> bool:
        """Is that an address which only the allow-list opens? Unknown ones are."""
        guard = msgspec.structs.replace(self._doors[False, False].guard, ports=None)
        return address is None or guard.objection(address, 0) is not None

    async def send(self, request: Request, *, timeout: timedelta, trusted: bool) -> Answer:
        """What the target said, whatever its status.

        Raises Blocked before anything is dialled, and Unreachable with `kind` dns, connect, tls,
        timeout or protocol if there is no status within `timeout`.
        """
        try:
            host, port, plain = _parts(request.url)
            return await self._doors[trusted, plain].send(request, host, port, timeout)
        except Blocked:
            telemetry.EGRESS_BLOCKED_TOTAL.inc()
            raise


class _Door:
    """Connections under one guard. They are not shared between guards, since a pool asks nobody."""

    def __init__(self, config: Config, guard: Guard, look_up: Resolve, secure: ssl.SSLContext) -> None:
        self.guard = guard
        self.look_up = look_up
        proxy = config.egress_proxy
        self._proxied = proxy is not None
        self._transport = httpx.AsyncHTTPTransport(
            verify=secure, trust_env=False, limits=_LIMITS, proxy=proxy.reveal() if proxy else None
        )
        _put_backend(self._transport, GuardedBackend(None if proxy else guard, look_up))

    async def __aenter__(self) -> "_Door":
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.__aexit__()

    async def send(self, request: Request, host: str, port: int, timeout: timedelta) -> Answer:
        started = time.monotonic()
        deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
        try:
            async with asyncio.timeout_at(deadline):
                if self._proxied:
                    # Pinning ends at the proxy; the name is judged here all the same.
                    await judged(self.guard, self.look_up, host, port)
                response = await self._response(request)
        except TimeoutError:
            raise Unreachable("the target did not answer in time", "timeout") from None
        try:
            address = _peer(response)
            headers = _headers(response)
            body = await _body(response, deadline)
        finally:
            await _close(response)
        return Answer(
            status=response.status_code,
            headers=headers,
            body=body,
            address=address,
            took=timedelta(seconds=time.monotonic() - started),
        )

    async def _response(self, request: Request) -> httpx.Response:
        try:
            return await self._once(request)
        except _Stale:
            # It was idle too long for the other side, which said nothing to this request: nothing
            # happened there, and a connection of its own tells more.
            return await self._once(request)

    async def _once(self, request: Request) -> httpx.Response:
        progress = Progress()
        PROGRESS.set(progress)
        try:
            return await self._transport.handle_async_request(_outgoing(request))
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            if not progress.connected and progress.received == 0:
                raise _Stale from None
            _translate(error, progress)
        except httpx.TransportError as error:
            _translate(error, progress)


class _Stale(Unreachable):
    """A pooled connection was closed before the answer's first byte."""

    def __init__(self) -> None:
        super().__init__("the target closed the connection without an answer", "connect")


def _translate(error: httpx.TransportError, progress: Progress) -> NoReturn:
    """Theirs to ours, without their words, which may quote the target."""
    match error:
        case httpx.PoolTimeout():
            raise Overloaded("too many calls to other servers at once") from None
        case httpx.TimeoutException():
            raise Unreachable("the target did not answer in time", "timeout") from None
        case httpx.ConnectError():
            # A refused connection is told by the dialling itself; what is left is TLS.
            raise Unreachable("the target's TLS could not be verified or agreed on", "tls") from None
        case httpx.ProxyError():
            raise Unreachable("the proxy refused the connection", "connect") from None
        case httpx.NetworkError() | httpx.RemoteProtocolError() if progress.received == 0:
            raise Unreachable("the target closed the connection without an answer", "connect") from None
        case httpx.NetworkError():
            raise Unreachable("the target broke the connection", "connect") from None
        case _:
            raise Unreachable("the target did not answer in HTTP", "protocol") from None


def _parts(url: str) -> tuple[str, int, bool]:
    """Host, port, and whether it is plain http. Raises Blocked for what is no such URL.

    Read by the parser that the connection is made by, so that no two of them can disagree.
    """
    try:
        parts = httpx.URL(url)
        host = parts.raw_host.decode("ascii")
    except (ValueError, httpx.InvalidURL):
        raise Blocked("the target is not a URL") from None
    if len(url) > MOST_URL_CHARS or not url.isprintable() or " " in url:
        raise Blocked(f"the target is not a URL of at most {MOST_URL_CHARS} characters")
    if parts.scheme not in {"http", "https"} or not host:
        raise Blocked("the target is neither an https nor an http URL")
    if parts.userinfo or "#" in url:
        raise Blocked("the target has user information or a fragment")
    plain = parts.scheme == "http"
    port = parts.port or (80 if plain else 443)
    if port > 65535:
        raise Blocked("the target's port is none")
    return host, port, plain


def _guard(config: Config, *, trusted: bool, plain: bool, own: Callable[[Address], bool]) -> Guard:
    return Guard(
        ports=config.egress_ports,
        allow=config.egress_allow if trusted else (),
        only_allowed=plain and not config.egress_http,
        own=own,
    )


def _put_backend(transport: httpx.AsyncHTTPTransport, backend: httpcore.AsyncNetworkBackend) -> None:
    pool = transport._pool  # noqa: SLF001 - there is no public door; the next line fails if it moves
    assert isinstance(pool._network_backend, httpcore.AsyncNetworkBackend)  # noqa: S101, SLF001
    pool._network_backend = backend  # noqa: SLF001


def _outgoing(request: Request) -> httpx.Request:
    seconds = CONNECT.total_seconds()
    # Reading and writing are bounded by the whole attempt.
    timeout = {"connect": seconds, "read": None, "write": None, "pool": seconds}
    return httpx.Request(
        request.method,
        request.url,
        headers={**request.headers, "accept-encoding": "identity"},
        content=request.body,
        extensions={"timeout": timeout},
    )


def _headers(response: httpx.Response) -> dict[str, str]:
    if sum(len(name) + len(value) + 4 for name, value in response.headers.raw) > MOST_HEADER_BYTES:
        raise Unreachable("the target's headers are over 32 KiB", "protocol")
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}


async def _body(response: httpx.Response, deadline: float) -> bytes:
    """The status has decided already: a body that is endless, slow or broken is cut, not an error."""
    body = bytearray()
    with suppress(TimeoutError, httpx.TransportError):
        async with asyncio.timeout_at(deadline):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) >= MOST_BODY_BYTES:
                    break
    return bytes(body[:MOST_BODY_BYTES])


async def _close(response: httpx.Response) -> None:
    with suppress(httpx.TransportError):
        await response.aclose()


def _peer(response: httpx.Response) -> str | None:
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream else None
    return str(peer[0]) if peer else None
