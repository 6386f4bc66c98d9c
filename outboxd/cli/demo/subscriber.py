"""A subscriber as anybody would write one: Server-Sent Events from a socket, with nothing of ours."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from outboxd.cli.demo.stage import LIMIT, Unmet, expect


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    event: str
    """Empty for an event of the project."""
    id: str
    """Its position: `<epoch>-<number>`."""
    data: Any
    at: float

    @property
    def number(self) -> int:
        return int(self.id.rpartition("-")[2])


class Subscriber:
    """One connection; `start` is what it was told first: where it stands."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._frames = _frames(reader)
        self.start: Frame

    async def next(self) -> Frame:
        """The next frame. Raises Unmet when none comes, or the stream ends."""
        try:
            async with asyncio.timeout(LIMIT.total_seconds()):
                return await anext(self._frames)
        except (TimeoutError, StopAsyncIteration, OSError, EOFError):
            raise Unmet("the stream ended, or nothing came") from None

    async def event(self) -> Frame:
        """The next that is no checkpoint."""
        while (frame := await self.next()).event:
            expect(frame.event == "outboxd.checkpoint", f"the stream said {frame.event}: {frame.data}")
        return frame


@asynccontextmanager
async def subscribed(port: int, path: str, key: str, after: str = "") -> AsyncIterator[Subscriber]:
    """`after`: the id of the last frame that was seen. The end is a cut: nobody is told."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    headers = {"host": f"127.0.0.1:{port}", "authorization": f"Bearer {key}", "accept": "text/event-stream"}
    if after:
        headers["last-event-id"] = after
    said = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(said).encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        expect(head.startswith(b"HTTP/1.1 200 "), f"the stream was refused: {head.splitlines()[0].decode()}")
        made = Subscriber(reader)
        made.start = await made.next()
        yield made
    finally:
        writer.transport.abort()


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[Frame]:
    """Chunk by chunk of the transfer coding; a blank line ends a frame."""
    text = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        text += (await reader.readexactly(size + 2))[:-2]
        *blocks, text = text.split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.decode().splitlines() if ": " in line)
            yield Frame(
                event=fields.get("event", ""),
                id=fields.get("id", ""),
                data=json.loads(fields["data"]),
                at=time.monotonic(),
            )
