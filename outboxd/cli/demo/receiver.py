"""A webhook target: verifies every call as Standard Webhooks says, and fails some on purpose.

The signature is computed here from the standard's text and not with the sender's code: a check with
the same code would hold for two equal mistakes.
"""

import asyncio
import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

_TOLERANCE = 300
_MOST_BODY = 1 << 20


Mood = Callable[[int], bytes | None]
"""Number of a call, from 1 → the status line, and headers, that it fails with."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that was verified and accepted."""

    id: str
    type: str
    data: Any
    attempt: str | None
    at: float


class Receiver:
    """`secret` is what the endpoint was made with."""

    def __init__(self, mood: Mood) -> None:
        self.secret = ""
        self.port = 0
        self.calls: list[Call] = []
        self.failed = 0
        """Calls that were answered 503 on purpose."""
        self.failed_at = 0.0
        """When it last did so."""
        self.forged = 0
        """Calls whose signature did not hold."""
        self.on_call: Callable[[Call], None] | None = None
        self._mood = mood
        self._count = 0
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks"

    def accepted(self, event: str) -> list[Call]:
        return [call for call in self.calls if call.id == event]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for writer in self._open:
                writer.close()
            await asyncio.gather(*self._open.values())

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._served(reader, writer))
        self._open[writer] = task
        task.add_done_callback(lambda _: self._open.pop(writer))

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one connection, one after the other."""
        try:
            while True:
                headers, body = await _request(reader)
                status = self._answer(headers, body)
                writer.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % status)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return
        finally:
            writer.close()

    def _answer(self, headers: dict[str, str], body: bytes) -> bytes:
        self._count += 1
        failure = self._mood(self._count)
        if failure is not None:
            self.failed += 1
            self.failed_at = time.monotonic()
            return failure
        if not self._genuine(headers, body):
            self.forged += 1
            return b"401 Unauthorized"
        said = json.loads(body)
        call = Call(
            id=headers["webhook-id"],
            type=said["type"],
            data=said["data"],
            attempt=headers.get("outboxd-attempt"),
            at=time.monotonic(),
        )
        self.calls.append(call)
        if self.on_call is not None:
            self.on_call(call)
        return b"204 No Content"

    def _genuine(self, headers: dict[str, str], body: bytes) -> bool:
        """Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, compared in constant time."""
        sent = headers.get("webhook-timestamp", "")
        if not sent.isdigit() or abs(time.time() - int(sent)) > _TOLERANCE:
            return False
        signed = f"{headers.get('webhook-id')}.{sent}.".encode() + body
        ours = hmac.digest(b64decode(self.secret.removeprefix("whsec_")), signed, "sha256")
        theirs = headers.get("webhook-signature", "").split()
        return any(hmac.compare_digest(f"v1,{b64encode(ours).decode()}", each) for each in theirs)


def one_in_five(call: int) -> bytes | None:
    return b"503 Service Unavailable" if call % 5 == 0 else None


def tired_once(call: int) -> bytes | None:
    """After the first call it asks for a second of rest."""
    return b"503 Service Unavailable\r\nretry-after: 1" if call == 2 else None


async def _request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    """Headers, names in lower case, and body. Raises ValueError for what no sender of ours sends."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    pairs = (line.partition(":") for line in head.split("\r\n")[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    size = int(headers.get("content-length", "0"))
    if not 0 <= size <= _MOST_BODY:
        raise ValueError(size)
    return headers, await reader.readexactly(size)
