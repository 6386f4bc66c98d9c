"""How a connection is made: the name is looked up once, every answer judged, a judged one dialled.

The HTTP library sees a network backend like any other; it keeps the name for `Host` and for TLS.
A pooled connection says that it is used up after a minute, so that its name is looked up again.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import httpcore

from outboxd.egress.addresses import Guard
from outboxd.errors import Blocked, Unreachable

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(name, port) → addresses as texts; raises OSError."""

MOST_ANSWERS = 16
POOLED = timedelta(seconds=60)

# A look-up cannot be cancelled. Slow ones must not take the threads that others need.
_LOOKUPS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="lookup")


class Progress:
    """How far a request got, told by the connection it was given."""

    __slots__ = ("connected", "received")

    def __init__(self) -> None:
        self.connected = False
        """Whether a connection was made for it, rather than taken from the pool."""
        self.received = 0
        """Bytes of the answer."""


PROGRESS: ContextVar[Progress] = ContextVar("progress")


async def resolve(name: str, port: int) -> Sequence[str]:
    """What the system's resolver says, which also knows `0x7f.1`, `127.1` and `2130706433`."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(
        _LOOKUPS, lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))


async def judged(guard: Guard, look_up: Resolve, name: str, port: int) -> Sequence[str]:
    """The addresses of `name` that may be dialled: all of its answers, up to 16, or none.

    Raises Blocked if any of them must not be, Unreachable (dns) if there are none.
    """
    if "%" in name:
        raise Blocked("the target is an address with a zone, which must not be called")
    try:
        answers = (await look_up(name, port))[:MOST_ANSWERS]
    except (OSError, UnicodeError):
        answers = ()
    if not answers:
        raise Unreachable("the target's name does not resolve", "dns")
    for answer in answers:
        objection = guard.objection(answer, port)
        if objection:
            raise Blocked(f"the target is {objection}, which must not be called")
    return answers


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Dials only what `guard` lets through; without one (towards a proxy) anything."""

    def __init__(self, guard: Guard | None, look_up: Resolve = resolve) -> None:
        self._guard = guard
        self._look_up = look_up
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = [host] if self._guard is None else await self._judged(host, port)
                stream = await self._first(addresses, port, socket_options)
        except TimeoutError:
            raise Unreachable("the target did not take the connection in time", "timeout") from None
        PROGRESS.get().connected = True
        return _Stream(stream, time.monotonic())

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise Blocked("the target is a unix socket, which must not be called")

    async def _judged(self, host: str, port: int) -> Sequence[str]:
        assert self._guard is not None  # noqa: S101 - for the type checker; the caller asked
        return await judged(self._guard, self._look_up, host, port)

    async def _first(
        self, addresses: Sequence[str], port: int, options: Iterable[httpcore.SOCKET_OPTION] | None
    ) -> httpcore.AsyncNetworkStream:
        for address in addresses:
            try:
                return await self._plain.connect_tcp(address, port, socket_options=options)
            except (httpcore.ConnectError, OSError):
                continue
        raise Unreachable("the target refused the connection", "connect")


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, since: float) -> None:
        self._stream = stream
        self._since = since

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        PROGRESS.get().received += len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Stream(secured, self._since)

    def get_extra_info(self, info: str) -> Any:
        # An idle connection with something to read is taken for closed by the other side.
        if info == "is_readable" and time.monotonic() - self._since > POOLED.total_seconds():
            return True
        return self._stream.get_extra_info(info)
