"""Sockets between the daemons and the server that delay, drop, cut and swallow when told to.

    daemon ──▶ Wire (one for a daemon's pool, one for its LISTEN) ──▶ server, or each server of a pair

One thread turns all of them. A wire is told what to do by its attributes, from any thread:

    swallowing   bytes are read and dropped, both ways: half-open, both ends think that the other lives;
                 where any were lost, the connection is reset once that is over
    delay        seconds that each piece takes, each way; drawn anew, but nothing overtakes
    cutting      the next COMMIT reaches the server, and its answer never comes back
    dropping     the share of notifications that are lost, of those that come alone
"""

import asyncio
import random
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SOCKET = ".s.PGSQL.{}"
_CUT_AFTER = 0.05
"""Seconds that the server gets for a COMMIT whose answer is lost."""
_NOTIFICATION = ord("A")


class Wires:
    """The loop that turns them, in a thread of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="outboxd-wires-"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.all: list[Wire] = []

    def wire(self, name: str, dsn: str) -> "Wire":
        """A new one before every server that the DSN names."""
        made = Wire(self._loop, self.folder / name, dsn)
        self._wait(made.open())
        self.all.append(made)
        return made

    def heal(self) -> None:
        """Everything goes through again; what was swallowed stays lost."""
        for wire in self.all:
            wire.swallowing = wire.cutting = False
            wire.delay = wire.dropping = 0.0

    def close(self) -> None:
        for wire in self.all:
            self._wait(wire.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._loop.is_running():
            self._loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class Wire:
    """`dsn` leads through it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path, dsn: str) -> None:
        self.loop = loop
        self.cutting = self._swallowing = False
        self.delay = self.dropping = 0.0
        self.cut = 0
        """COMMITs whose answers were lost."""
        self.links: set[_Link] = set()
        self._folder, self._given = folder, dsn
        self._servers: list[asyncio.AbstractServer] = []
        self.dsn = dsn

    @property
    def swallowing(self) -> bool:
        return self._swallowing

    @swallowing.setter
    def swallowing(self, now: bool) -> None:
        was, self._swallowing = self._swallowing, now
        if was and not now:
            self.loop.call_soon_threadsafe(self._reset_spoiled)

    async def open(self) -> None:
        """Unix sockets are led through sockets of ours, hosts through 127.0.0.1 with their name kept."""
        at = conninfo_to_dict(self._given)
        hosts = str(at.get("host") or "localhost").split(",")
        ports = str(at.get("port") or "5432").split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        if all(host.startswith("/") for host in hosts):
            folders = [await self._unix(*pair, n) for n, pair in enumerate(zip(hosts, ports, strict=True))]
            self.dsn = make_conninfo(self._given, host=",".join(folders))
            return
        served = [str(await self._tcp(*pair)) for pair in zip(hosts, ports, strict=True)]
        here = ",".join("127.0.0.1" for _ in hosts)
        self.dsn = make_conninfo(self._given, hostaddr=here, port=",".join(served))

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for link in tuple(self.links):
            link.end()

    def _reset_spoiled(self) -> None:
        for link in tuple(self.links):
            if link.spoiled:
                link.end()

    async def _unix(self, host: str, port: str, n: int) -> str:
        folder = self._folder.with_name(f"{self._folder.name}-{n}")
        folder.mkdir()
        name = _SOCKET.format(port)
        target = str(Path(host) / name)
        made = await self.loop.create_unix_server(
            lambda: _Link(self, lambda near: self.loop.create_unix_connection(lambda: near, target)),
            str(folder / name),
        )
        self._servers.append(made)
        return str(folder)

    async def _tcp(self, host: str, port: str) -> int:
        made = await self.loop.create_server(
            lambda: _Link(self, lambda near: self.loop.create_connection(lambda: near, host, int(port))),
            "127.0.0.1",
            0,
        )
        self._servers.append(made)
        found: int = made.sockets[0].getsockname()[1]
        return found


class _Link(asyncio.Protocol):
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, wire: Wire, connect: Any) -> None:
        self.wire, self._connect = wire, connect
        self.client: asyncio.Transport | None = None
        self.server: asyncio.Transport | None = None
        self._early = bytearray()
        self._deaf = False
        self.spoiled = False
        self._due = [0.0, 0.0]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - sockets give one
        self.client = transport
        self.wire.links.add(self)
        self._task = self.wire.loop.create_task(self._open())

    async def _open(self) -> None:
        try:
            self.server, _ = await self._connect(_Far(self))
        except OSError:
            self.end()
            return
        self.server.write(bytes(self._early))

    def data_received(self, data: bytes) -> None:
        """From the client."""
        if self.wire.swallowing:
            self.spoiled = True
            return
        if self.server is None:
            self._early += data
            return
        if self.wire.cutting and b"commit" in data.lower():
            self.wire.cutting, self._deaf = False, True
            self.wire.cut += 1
            self.wire.loop.call_later(_CUT_AFTER, self.end)
        self._send(0, data)

    def answered(self, data: bytes) -> None:
        """From the server."""
        lost = self.wire.swallowing or self._deaf
        self.spoiled = self.spoiled or self.wire.swallowing
        # A notification to a session that sleeps is a message of its own.
        hint = data[:1] == b"A" and _only_hints(data)
        if not lost and not (hint and random.random() < self.wire.dropping):
            self._send(1, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.wire.swallowing:
            self.spoiled = True  # not even the end is told
        else:
            self.end()

    def end(self) -> None:
        self.wire.links.discard(self)
        for transport in (self.client, self.server):
            if transport is not None:
                transport.abort()

    def _send(self, to: int, data: bytes) -> None:
        if not self.wire.delay and self._due[to] <= self.wire.loop.time():
            self._write(to, data)
            return
        wanted = self.wire.loop.time() + random.uniform(0, 2) * self.wire.delay
        self._due[to] = max(self._due[to] + 1e-6, wanted)
        self.wire.loop.call_at(self._due[to], self._write, to, data)

    def _write(self, to: int, data: bytes) -> None:
        transport = (self.server, self.client)[to]
        if transport is not None and not transport.is_closing():
            with suppress(OSError):
                transport.write(data)


class _Far(asyncio.Protocol):
    def __init__(self, link: _Link) -> None:
        self._link = link

    def data_received(self, data: bytes) -> None:
        self._link.answered(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.connection_lost(exc)


def _only_hints(data: bytes) -> bool:
    """Whether these are whole NotificationResponse messages and nothing else (protocol, 55.7)."""
    at = 0
    while at + 5 <= len(data) and data[at] == _NOTIFICATION:
        at += 1 + int.from_bytes(data[at + 1 : at + 5], "big")
    return at == len(data)
