"""A TCP proxy that breaks: latency, black hole, reset, cut after n bytes, refusal.

    async with Proxy.to("127.0.0.1", 5432) as proxy:
        connect to 127.0.0.1:proxy.port
        proxy.black_hole()        swallows both directions on every connection, new ones included
        proxy.heal()              new connections work; those that were swallowed stay dead
        proxy.cut_answers()       RST on each connection instead of the server's next answer
        proxy.reset()             RST on every connection
        proxy.refuse()            new connections are reset at once
        proxy.latency = 0.05      seconds, each way
        proxy.cut_after = 100     server bytes on each new connection, then RST

A path instead of a host reaches a unix socket: `Proxy.to("/run/x/.s.PGSQL.5432")`. In front of a
database: `async with Proxy.before(dsn) as (proxy, through)`, where `through` is the DSN over it.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

from psycopg import conninfo

_CHUNK = 65_536


class Proxy:
    def __init__(self, host: str, port: int | None) -> None:
        self.port = 0
        self.latency = 0.0
        self.cut_after: int | None = None
        self.accepted = 0
        self._target = (host, port)
        self._refusing = False
        self._swallowing = False
        self._pairs: set[_Pair] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, host: str, port: int | None = None) -> AsyncIterator[Self]:
        made = cls(host, port)
        server = await asyncio.start_server(made._accept, "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        try:
            yield made
        finally:
            server.close()
            for pair in tuple(made._pairs):
                pair.reset()
            await asyncio.sleep(0)

    @classmethod
    @asynccontextmanager
    async def before(cls, dsn: str) -> AsyncIterator[tuple[Self, str]]:
        at = conninfo.conninfo_to_dict(dsn)
        host, port = str(at.get("host") or "127.0.0.1"), int(at.get("port") or 5432)
        target = (f"{host}/.s.PGSQL.{port}", None) if host.startswith("/") else (host, port)
        async with cls.to(*target) as proxy:
            yield proxy, conninfo.make_conninfo(dsn, host="127.0.0.1", port=proxy.port)

    def black_hole(self) -> None:
        self._swallowing = True
        for pair in self._pairs:
            pair.swallowing = True

    def cut_answers(self) -> None:
        """The next thing the server says on a connection that is open now is lost with the connection."""
        for pair in self._pairs:
            pair.left = 0

    def refuse(self) -> None:
        self._refusing = True

    def heal(self) -> None:
        self._swallowing = self._refusing = False
        self.latency, self.cut_after = 0.0, None

    def reset(self) -> None:
        for pair in tuple(self._pairs):
            pair.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refusing:
            _reset(writer)
            return
        pair = _Pair(self, writer, swallowing=self._swallowing)
        self._pairs.add(pair)
        try:
            await pair.run(reader, *self._target)
        except OSError:
            pair.reset()
        finally:
            self._pairs.discard(pair)


class _Pair:
    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, *, swallowing: bool) -> None:
        self.swallowing = swallowing
        self._proxy = proxy
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self.left = proxy.cut_after

    async def run(self, reader: asyncio.StreamReader, host: str, port: int | None) -> None:
        if port is None:
            replies, self._server = await asyncio.open_unix_connection(host)
        else:
            replies, self._server = await asyncio.open_connection(host, port)
        up = asyncio.create_task(self._pump(reader, self._server))
        down = asyncio.create_task(self._pump(replies, self._client, counted=True))
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        self._server.close()
        self._client.close()

    def reset(self) -> None:
        for writer in (self._client, self._server):
            if writer is not None:
                _reset(writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                if self._proxy.latency:
                    await asyncio.sleep(self._proxy.latency)
                if self.swallowing:
                    continue
                if counted and self.left is not None:
                    data, self.left = data[: self.left], self.left - len(data)
                writer.write(data)
                await writer.drain()
                if counted and self.left is not None and self.left <= 0:
                    self.reset()
                    return
        if self.swallowing:
            await asyncio.Event().wait()  # not even the end is told


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN: closing with a linger of zero."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
