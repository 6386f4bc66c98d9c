"""An SSE client after the standard, with what tests ask of it. It knows nothing of outboxd but the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One dispatched event."""

    event: str
    data: str
    id: str | None
    """As sent with this very block; None: it had none."""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.data)


class Stream:
    """One connection. `last_id` is what a browser would send when it comes again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.last_id = ""
        self.retry: int | None = None
        self.raw = bytearray()
        self._body = bytearray()
        self._over = False

    async def begin(self) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        self.status = int(line.split()[1])
        self.headers = dict(field.lower().split(": ", 1) for field in fields if field)

    async def body(self) -> bytes:
        """All of a reply that ends."""
        if "content-length" in self.headers:
            return await self._reader.readexactly(int(self.headers["content-length"]))
        while await self._more():
            pass
        return bytes(self.raw)

    async def message(self, timeout: float = 10) -> Message | None:
        """The next one, checkpoints and all; None at the end of the stream."""
        async with asyncio.timeout(timeout):
            while True:
                found = await self._block()
                if found is None or found is not _NOTHING:
                    return found

    async def event(self, timeout: float = 10) -> Message:
        """The next that is no checkpoint. Raises EOFError at the end."""
        async with asyncio.timeout(timeout):
            while True:
                found = await self.message(timeout)
                if found is None:
                    raise EOFError
                if found.event != "outboxd.checkpoint":
                    return found

    async def events(self, count: int, timeout: float = 20) -> list[Message]:
        async with asyncio.timeout(timeout):
            return [await self.event(timeout) for _ in range(count)]

    def reset(self) -> None:
        """Ends it by RST, as a client does that is killed."""
        import socket
        import struct

        raw = self._writer.get_extra_info("socket")
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()

    async def _block(self) -> Message | None:
        """_NOTHING for a block without data."""
        event, data, given = "", list[str](), None
        while True:
            line = await self._line()
            if line is None:
                return None
            if not line:
                break
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                event = value
            elif name == "data":
                data.append(value)
            elif name == "id":
                given = self.last_id = value
            elif name == "retry":
                self.retry = int(value)
        return Message(event=event, data="\n".join(data), id=given) if data else _NOTHING

    async def _line(self) -> str | None:
        while (end := self._body.find(b"\n")) < 0:
            if not await self._more():
                return None
        line = self._body[:end]
        del self._body[: end + 1]
        assert b"\r" not in line
        return line.decode()

    async def _more(self) -> bool:
        """Takes one chunk of the transfer coding."""
        if self._over:
            return False
        try:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            chunk = (await self._reader.readexactly(size + 2))[:-2]
        except (asyncio.IncompleteReadError, ConnectionError):
            self._over = True
            return False
        self._over = not chunk
        self._body += chunk
        self.raw += chunk
        return bool(chunk)


_NOTHING = Message(event="", data="", id=None)


@asynccontextmanager
async def opened(port: int, path: str, key: str | None = None, **headers: str) -> AsyncIterator[Stream]:
    """GET of that path; keyword `last_event_id` is the header of that name."""
    given = {"host": f"127.0.0.1:{port}", "accept": "text/event-stream"}
    if key is not None:
        given["authorization"] = f"Bearer {key}"
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    made = Stream(reader, writer)
    try:
        await made.begin()
        yield made
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
