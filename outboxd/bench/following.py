"""How long it takes from a client to the last of n subscribers on two processes; what an idle one costs."""

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from uuid import UUID

from outboxd.bench import daemons, tenants
from outboxd.bench.ground import PAYLOAD, Ground, NotMeasuredError
from outboxd.bench.measure import Measure
from outboxd.bench.posting import posting

_PODS = 2
_SCOPES = ("streams:read",)
_COUNTS = (1, 100, 1000)
_BETWEEN = 0.05
_LATEST = 10.0
_AT_ONCE = 50
"""Connections that are made at the same time."""
_MARK = b'\ndata: {"id":'
"""What only a frame with an event holds."""
_SETTLED = 1.0


class _Crowd:
    """The subscribers, as one who counts what they all got."""

    def __init__(self) -> None:
        self.open = self.got = 0
        self._wanted = 0
        self._at = 0.0
        self._all = asyncio.Event()

    def expect(self, frames: int) -> None:
        self._wanted = self.got + frames
        self._all.clear()

    async def have_it(self) -> float:
        """When the last of them did."""
        try:
            async with asyncio.timeout(_LATEST):
                await self._all.wait()
        except TimeoutError:
            short = self._wanted - self.got
            raise NotMeasuredError(f"{short} subscribers had no event within {_LATEST:.0f} s") from None
        return self._at

    def heard(self, frames: int) -> None:
        self.got += frames
        if self.got >= self._wanted:
            self._at = time.time()
            self._all.set()


class _Subscriber(asyncio.Protocol):
    """Asks for a stream, and counts frames; it parses nothing else, to cost next to nothing."""

    def __init__(self, crowd: _Crowd, ask: bytes) -> None:
        self._crowd, self._ask = crowd, ask
        self._begun = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP gives nothing else
        transport.write(self._ask)

    def data_received(self, data: bytes) -> None:
        text = self._rest + data
        if not self._begun and b"outboxd.checkpoint" in text:
            self._begun = True
            self._crowd.open += 1
        found = text.count(_MARK)
        # Of a mark that is cut in two, the first part waits for the second.
        self._rest = text[-(len(_MARK) - 1) :]
        if found:
            self._crowd.heard(found)


async def _measured(ground: Ground, system: str, *, count: int) -> Mapping[str, float]:
    async with _crowd(ground, count) as (dsn, project, crowd, pods):
        key = await tenants.key(dsn, project)
        found = await _sampled(pods[0][1], key, project, crowd, count, ground.size.pick_ups)
    return {
        f"stream {count} p{at}": found[min(int(len(found) * at / 100), len(found) - 1)] for at in (50, 99)
    }


async def _idle(ground: Ground, system: str) -> Mapping[str, float]:
    """Resident memory of both processes, before and with the subscribers."""
    async with _crowd(ground, 0) as (dsn, project, crowd, pods):
        before = sum(daemons.rss(process) for process, _ in pods)
        key = await tenants.key(dsn, project, _SCOPES)
        async with _subscribed(crowd, pods, key, project, _COUNTS[-1]):
            await asyncio.sleep(_SETTLED)
            after = sum(daemons.rss(process) for process, _ in pods)
    return {"stream idle subscriber": (after - before) / _COUNTS[-1] / 1024}


async def _sampled(port: int, key: str, project: UUID, crowd: _Crowd, count: int, times: int) -> list[float]:
    """Milliseconds from the sending of each event, its commit counted in, to the last of them; ascending."""
    found = []
    body = f'{{"eventType":"{tenants.EVENT}","projectId":"{project}","payload":{PAYLOAD}}}'
    async with posting(port, key) as post:
        for _ in range(times):
            crowd.expect(count)
            sent = time.time()
            status = await post("/v1/events", body)
            if status != 201:
                raise NotMeasuredError(f"the API answered {status}")
            found.append((await crowd.have_it() - sent) * 1000)
            await asyncio.sleep(_BETWEEN)
    return sorted(found)


@asynccontextmanager
async def _crowd(
    ground: Ground, count: int
) -> AsyncIterator[tuple[str, UUID, _Crowd, Sequence[tuple[Process, int]]]]:
    """Two processes, and so many subscribers, half on each."""
    environ = {"OUTBOXD_STREAMS_PER_KEY": "2000"}
    async with ground.database() as dsn, AsyncExitStack() as stack:
        (project,) = tenants.prepare(dsn)
        key, crowd = await tenants.key(dsn, project, _SCOPES), _Crowd()
        pods = [await stack.enter_async_context(daemons.api(dsn, environ)) for _ in range(_PODS)]
        async with _subscribed(crowd, pods, key, project, count):
            yield dsn, project, crowd, pods


@asynccontextmanager
async def _subscribed(
    crowd: _Crowd, pods: Sequence[tuple[Process, int]], key: str, project: UUID, count: int
) -> AsyncIterator[None]:
    loop, made = asyncio.get_running_loop(), list[asyncio.Transport]()
    ask = (
        f"GET /v1/projects/{project}/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n"
    ).encode()
    try:
        for begin in range(0, count, _AT_ONCE):
            some = range(begin, min(begin + _AT_ONCE, count))
            ports = [pods[n % len(pods)][1] for n in some]
            connected = (
                loop.create_connection(partial(_Subscriber, crowd, ask), "127.0.0.1", port) for port in ports
            )
            made += [transport for transport, _ in await asyncio.gather(*connected)]
        async with asyncio.timeout(_LATEST):
            while crowd.open < count:  # noqa: ASYNC110 - each of a thousand would have to tell
                await asyncio.sleep(_BETWEEN)
        yield
    finally:
        for transport in made:
            transport.close()


MEASURES = (
    *(
        Measure(
            name=f"streams {count}",
            gives={f"stream {count} p50": "ms", f"stream {count} p99": "ms"},
            take=partial(_measured, count=count),
            rounds=1,
        )
        for count in _COUNTS
    ),
    Measure(name="streams idle", gives={"stream idle subscriber": "KiB"}, take=_idle, rounds=1),
)
