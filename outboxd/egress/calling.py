"""Calls to servers that the operator named: an answer that came whole, or a failure that says why not.

What tenants name goes through `Egress`, which judges addresses. Here any address may be called, a
model on this host too, and the answer has to come whole, because half of it says nothing. Bounded
are connecting (10 s), the whole call (the caller's deadline), headers (32 KiB) and body (4 MiB).
Redirects, cookies, compression and the environment's proxies do not exist here either.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import NoReturn

import httpx
import msgspec

from outboxd.config import Config
from outboxd.egress import MOST_HEADER_BYTES, Request
from outboxd.egress.trust import trusting
from outboxd.errors import Unreachable

CONNECT = timedelta(seconds=10)
MOST_BODY_BYTES = 4 * 1024 * 1024

# The other side closes idle connections without a word: the shorter we keep them, the fewer calls
# meet one that is just being closed.
_KEEP = 15

Transport = httpx.AsyncBaseTransport
"""Tests may answer in the place of the network."""


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Calls:
    """Made once for a process by `Calls.open`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config, transport: Transport | None = None) -> AsyncIterator["Calls"]:
        async with transport or _network(config) as opened:
            yield cls(opened)

    async def send(self, request: Request, *, deadline: float) -> Whole:
        """What the server said, whatever its status; cancelling the task closes the connection.

        `deadline` is in seconds of the event loop's clock. Raises Unreachable with `kind` dns,
        connect, tls, timeout (only the deadline) or protocol, without a word of the other side.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await self._whole(request)
        except TimeoutError:
            raise Unreachable("the server did not answer in time", "timeout") from None
        except httpx.TransportError as error:
            _translate(error)

    async def _whole(self, request: Request) -> Whole:
        response = await self._transport.handle_async_request(_outgoing(request))
        try:
            return Whole(status=response.status_code, headers=_headers(response), body=await _body(response))
        finally:
            with suppress(httpx.TransportError):
                await response.aclose()


def _network(config: Config) -> Transport:
    proxy = config.provider_proxy
    most = config.provider_concurrency
    return httpx.AsyncHTTPTransport(
        verify=trusting(config.egress_ca_file),
        trust_env=False,
        limits=httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=_KEEP),
        proxy=proxy.reveal() if proxy else None,
    )


def _outgoing(request: Request) -> httpx.Request:
    # All but connecting is bounded by the deadline.
    timeout = {"connect": CONNECT.total_seconds(), "read": None, "write": None, "pool": None}
    return httpx.Request(
        request.method,
        request.url,
        headers={**request.headers, "accept-encoding": "identity"},
        content=request.body,
        extensions={"timeout": timeout},
    )


def _headers(response: httpx.Response) -> dict[str, str]:
    if sum(len(name) + len(value) + 4 for name, value in response.headers.raw) > MOST_HEADER_BYTES:
        raise Unreachable("the server's headers are over 32 KiB", "protocol")
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - for the type checker
    async for chunk in response.stream:
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise Unreachable("the server's answer is over 4 MiB", "protocol")
    return bytes(body)


def _translate(error: httpx.TransportError) -> NoReturn:
    """Theirs to ours, without their words, which may quote the target."""
    causes = list(_causes(error))
    match error:
        case httpx.ConnectError() if any(isinstance(cause, ssl.SSLError) for cause in causes):
            raise Unreachable("the server's TLS could not be verified or agreed on", "tls") from None
        case httpx.ConnectError() if any(isinstance(cause, socket.gaierror) for cause in causes):
            raise Unreachable("the server's name does not resolve", "dns") from None
        case httpx.ConnectError() | httpx.ConnectTimeout():
            raise Unreachable("the server did not take the connection", "connect") from None
        case httpx.ProxyError():
            raise Unreachable("the proxy refused the connection", "connect") from None
        case httpx.NetworkError():
            raise Unreachable("the server broke the connection", "connect") from None
        case _:
            raise Unreachable("the server did not answer in HTTP", "protocol") from None


def _causes(error: BaseException) -> Iterator[BaseException]:
    found = error.__cause__ or error.__context__
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
