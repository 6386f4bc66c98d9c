"""Replies that go on: bounded in number, and over when their client leaves or the process drains.

They are not counted among the requests in flight, which would be used up by clients that only listen.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from starlette.types import Receive, Send

from outboxd import telemetry
from outboxd.api.exchange import ABORT, Exchange, Stream
from outboxd.errors import Overloaded, RateLimited

_LOOK_EVERY = 0.25
_WRITE = 10.0
"""Seconds that a client may leave a write waiting."""
_SPREAD = timedelta(seconds=5)
"""Over which a draining process says goodbye, so that not all come to the others at once."""
_AGAIN = 0.5
_FULL = timedelta(seconds=5)


class Process(Protocol):
    draining: bool


class Flows:
    """The open streams of this process, and the requests that wait for one."""

    def __init__(
        self, process: Process, most: int, most_per_key: int, drain: timedelta = 2 * _SPREAD
    ) -> None:
        """`drain`: after that what is still open is cut, so all goodbyes are said in the first half of it."""
        self._process = process
        self._spread = min(_SPREAD, drain / 2).total_seconds()
        self._most = most
        self._most_per_key = most_per_key
        self._open: Counter[UUID | None] = Counter()
        self._farewells: dict[object, Callable[[], object]] = {}
        self._looker: asyncio.Task[None] | None = None
        telemetry.STREAMS_OPEN.set_function(self._open.total)

    @contextmanager
    def place(self, exchange: Exchange, farewell: Callable[[], object]) -> Iterator[None]:
        """Among the open ones; `farewell` is called when we drain. Raises Overloaded, RateLimited."""
        key, mark = exchange.key.id if exchange.key else None, object()
        self._check(key)
        self._open[key] += 1
        self._farewells[mark] = farewell
        if self._looker is None or self._looker.done():
            self._looker = asyncio.create_task(self._look())
        exchange.leave()
        try:
            yield
        finally:
            del self._farewells[mark]
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    async def send(self, exchange: Exchange, stream: Stream, send: Send) -> None:
        """Until the stream ends or has to. Raises Overloaded or RateLimited before its first byte."""
        pump = Pump(stream, send)
        with self.place(exchange, stream.farewell or pump.cut):
            exchange.took = time.monotonic() - exchange.started
            await send({"type": "http.response.start", "status": stream.status, "headers": [*stream.headers]})
            read = exchange.method == "HEAD" or await pump.run(exchange.receive)
        if read:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WRITE):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            telemetry.STREAM_CLOSED_TOTAL.labels("slow").inc()
            abort: Callable[[], object] = exchange.scope.get(ABORT, lambda: None)
            abort()

    def _check(self, key: UUID | None) -> None:
        if self._open.total() >= self._most:
            raise Overloaded("too many streams at once", _FULL)
        if self._open[key] >= self._most_per_key:
            raise RateLimited("too many streams of this key at once", retry_in=_FULL)

    async def _look(self) -> None:
        """One for all streams; lives while one is open."""
        while self._open and not self._process.draining:  # noqa: ASYNC110 - the process has no event to wait for
            await asyncio.sleep(_LOOK_EVERY)
        loop = asyncio.get_running_loop()
        for mark in self._farewells:
            loop.call_later(random.uniform(0, self._spread), self._bid, mark)  # noqa: S311 - spread, no secret

    def _bid(self, mark: object) -> None:
        if mark in self._farewells:
            self._farewells[mark]()


class Pump:
    """One stream on its way to one client."""

    def __init__(self, stream: Stream, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._pumping: asyncio.Future[bool] | None = None

    def cut(self) -> None:
        if self._pumping is not None:
            self._pumping.cancel()

    async def run(self, receive: Receive) -> bool:
        """Until the stream ends or its client leaves; False when the client left a write waiting too long."""
        self._pumping = asyncio.ensure_future(self._pump())
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((self._pumping, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            await _over(self._pumping)
        return self._pumping.cancelled() or self._pumping.result()

    async def _pump(self) -> bool:
        async with aclosing(self._stream.chunks) as chunks:
            async for chunk in chunks:
                try:
                    async with asyncio.timeout(_WRITE):
                        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                except TimeoutError:
                    return False
        return True


async def _over(task: asyncio.Future[bool]) -> None:
    """A wait that ends as it is cancelled may swallow that (`wait_for`, before Python 3.12): said again."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_AGAIN)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
