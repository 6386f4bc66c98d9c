"""A load client that costs little: keep-alive connections, one prepared request each, over and over.

Run as `python -m outboxd.bench.load` in a process of its own, so that its CPU is not the server's. Prints one
JSON object: answered, failed (any status but 201), seconds, p50 and p99 in milliseconds.
"""

import asyncio
import signal
import sys
import time
from typing import Annotated

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, read as JSON from standard input."""

    host: str
    port: int
    path: str
    key: str
    body: str
    connections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 64
    seconds: float = 5
    warm_up: float = 1


class Seen(msgspec.Struct, kw_only=True):
    """What came back inside the measured window."""

    answered: int = 0
    failed: int = 0
    seconds: float = 0
    p50_ms: float = 0
    p99_ms: float = 0


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, seen: list[float], failed: list[int]) -> None:
        self._request, self._seen, self._failed = request, seen, failed
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent = 0.0
        self.stop = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP gives one
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.lower().find(b"content-length:", 0, head)
        length = int(self._buffer[at + 15 : self._buffer.index(b"\r", at)])
        if len(self._buffer) < head + 4 + length:
            return
        self._seen.append(time.perf_counter() - self._sent)
        if self._buffer[9:12] != b"201":
            self._failed.append(int(self._buffer[9:12]))
        self._buffer = b""
        if not self.stop:
            self._send()

    def _send(self) -> None:
        assert self._transport is not None  # noqa: S101 - we are connected
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def run(plan: Plan) -> Seen:
    """Warms up, measures for `seconds`, and ends with the requests that are under way."""
    body = plan.body.encode()
    request = (
        f"POST {plan.path} HTTP/1.1\r\nHost: {plan.host}\r\nAuthorization: Bearer {plan.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    taken: list[float] = []
    failed: list[int] = []
    clients = [_Client(request, taken, failed) for _ in range(plan.connections)]
    loop = asyncio.get_running_loop()
    links = [await loop.create_connection(lambda c=client: c, plan.host, plan.port) for client in clients]  # type: ignore[misc]
    await asyncio.sleep(plan.warm_up)
    taken.clear()
    failed.clear()
    start = time.perf_counter()
    await asyncio.sleep(plan.seconds)
    seconds = time.perf_counter() - start
    measured = sorted(taken)
    for client in clients:
        client.stop = True
    await asyncio.sleep(0.2)
    for transport, _ in links:
        transport.abort()
    if not measured:
        return Seen(seconds=seconds, failed=len(failed))
    return Seen(
        answered=len(measured),
        failed=len(failed),
        seconds=seconds,
        p50_ms=measured[len(measured) // 2] * 1000,
        p99_ms=measured[len(measured) * 99 // 100] * 1000,
    )


def main() -> None:
    """Reads the plan, runs it, prints what was seen. Ctrl-C is answered by who started us."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(run(plan))) + b"\n")


if __name__ == "__main__":
    main()
