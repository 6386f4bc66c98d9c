"""Replies that go on: bounded in number, and over when their client leaves or the process drains.

They are not counted among the requests in flight, which would be used up by clients that only listen.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from starlette.types import Receive, Send

from outboxd import telemetry
from outboxd.api.exchange import Exchange, Stream
from outboxd.errors import Overloaded, RateLimited

_LOOK_EVERY = 0.25
_WRITE = 10.0
"""Seconds that a client may leave a write waiting."""
_FULL = timedelta(seconds=5)


class Process(Protocol):
    draining: bool


class Flows:
    """The open streams of this process."""

    def __init__(self, process: Process, most: int, most_per_key: int) -> None:
        self._process = process
        self._most = most
        self._most_per_key = most_per_key
        self._open: Counter[UUID | None] = Counter()
        self._closing = asyncio.Event()
        self._looker: asyncio.Task[None] | None = None
        telemetry.STREAMS_OPEN.set_function(self._open.total)

    async def send(self, exchange: Exchange, stream: Stream, send: Send) -> None:
        """Until the stream ends or has to. Raises Overloaded or RateLimited before its first byte."""
        key = exchange.key.id if exchange.key else None
        self._check(key)
        self._open[key] += 1
        exchange.leave()
        exchange.took = time.monotonic() - exchange.started
        try:
            await send({"type": "http.response.start", "status": stream.status, "headers": [*stream.headers]})
            if exchange.method != "HEAD":
                await _first(_pumped(stream, send), _gone(exchange.receive), self._drained())
            with suppress(TimeoutError):
                async with asyncio.timeout(_WRITE):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    def _check(self, key: UUID | None) -> None:
        if self._open.total() >= self._most:
            raise Overloaded("too many streams at once", _FULL)
        if self._open[key] >= self._most_per_key:
            raise RateLimited("too many streams of this key at once", retry_in=_FULL)

    async def _drained(self) -> None:
        if self._looker is None or self._looker.done():
            self._looker = asyncio.create_task(self._look())
        await self._closing.wait()

    async def _look(self) -> None:
        """One for all streams; lives while one is open."""
        while self._open and not self._closing.is_set():
            await asyncio.sleep(_LOOK_EVERY)
            if self._process.draining:
                self._closing.set()


async def _pumped(stream: Stream, send: Send) -> None:
    async for chunk in stream.chunks:
        async with asyncio.timeout(_WRITE):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first(*ways: Awaitable[Any]) -> None:
    """Till one of them is over. A client that reads nothing is as one that left."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        failed = task.exception()
        if failed is not None and not isinstance(failed, TimeoutError):
            raise failed
