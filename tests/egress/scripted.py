"""A server that does what a test says, and counts who came."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    def __init__(self, act: Act) -> None:
        self.act = act
        self.connections = 0
        self.port = 0
        self.heads: list[bytes] = []
        self.tasks: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self.act(reader, writer)
        finally:
            with suppress(OSError):
                writer.close()
                await writer.wait_closed()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Reads one request: its head, kept, and its body, given."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""


@asynccontextmanager
async def serving(
    act: Act | None = None, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(act or (lambda reader, writer: answer(server, reader, writer, OK)))
    listening = await asyncio.start_server(server.accept, host, 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.close()


async def answer(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *parts: bytes
) -> None:
    """Says `parts` to each request of the connection."""
    while True:
        await server.request(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes with an RST, as a crashed peer or a firewall does."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
