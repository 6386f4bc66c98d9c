"""What a handler is given beside its job: a voice and an ear."""

import asyncio
import concurrent.futures
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import msgspec
import structlog

from outboxd.errors import Error, Invalid, LeaseLost, TooLarge
from outboxd.loops.tokens import LoopToken, Token
from outboxd.model import Claimed

log = structlog.get_logger()

T = TypeVar("T")

_EVERY = 1.0
_MOST_NOTE = 200
_MOST_CHECKPOINT = 64 * 1024


class Voice(Protocol):
    """What a Run needs of whoever runs the job."""

    async def report(self, *, progress: bytes | None = None, checkpoint: bytes | None = None) -> None: ...
    async def extend(self, by: timedelta) -> None: ...
    def spawn(self, said: Coroutine[Any, Any, None]) -> None: ...


class Run:
    """For a coroutine. A lost lease sets the token before LeaseLost is raised."""

    __slots__ = ("_claimed", "_said_at", "_token", "_unsaid", "_voice")

    def __init__(self, claimed: Claimed, token: Token, voice: Voice) -> None:
        self._claimed = claimed
        self._token = token
        self._voice = voice
        self._said_at = float("-inf")
        self._unsaid: asyncio.TimerHandle | None = None

    @property
    def cancelled(self) -> LoopToken:
        return LoopToken(self._token)

    @property
    def log(self) -> Any:
        claimed = self._claimed
        return log.bind(
            job=str(claimed.job_id),
            queue=claimed.queue,
            handler=claimed.handler,
            project=str(claimed.project_id),
            requestId=claimed.request_id,
            traceId=None if claimed.traceparent is None else claimed.traceparent[3:35],
        )

    async def progress(self, percent: float, note: str = "") -> None:
        """0..100. Said at once, or, a second after the last, whatever was said last until then."""
        if not 0 <= percent <= 100:
            raise Invalid("progress: 0 to 100 percent")
        said = msgspec.json.encode({"percent": percent, "note": note[:_MOST_NOTE].replace("\0", "")})
        loop = asyncio.get_running_loop()
        if self._unsaid is not None:
            self._unsaid.cancel()
            self._unsaid = None
        wait = self._said_at + _EVERY - loop.time()
        if wait <= 0:
            self._said_at = loop.time()
            await self._fenced(self._voice.report(progress=said))
            return
        self._unsaid = loop.call_later(wait, self._later, said)

    async def checkpoint(self, value: Any) -> None:
        try:
            encoded = msgspec.json.encode(value)
        except (TypeError, ValueError, RecursionError, OverflowError) as wrong:
            raise Invalid("checkpoint: JSON") from wrong
        if len(encoded) > _MOST_CHECKPOINT:
            raise TooLarge("checkpoint: at most 64 KiB")
        await self._fenced(self._voice.report(checkpoint=encoded))

    async def extend(self, by: timedelta) -> None:
        await self._fenced(self._voice.extend(by))

    async def _fenced(self, said: Coroutine[Any, Any, None]) -> None:
        try:
            await said
        except LeaseLost:
            self._token.set("lease_lost")
            raise

    def close(self) -> None:
        """The job has ended: what was not said yet interests nobody."""
        if self._unsaid is not None:
            self._unsaid.cancel()
            self._unsaid = None

    def _later(self, said: bytes) -> None:
        self._unsaid = None
        self._said_at = asyncio.get_running_loop().time()
        self._voice.spawn(self._quietly(said))

    async def _quietly(self, said: bytes) -> None:
        try:
            await self._fenced(self._voice.report(progress=said))
        except Error as unsaid:
            log.debug("progress not written", code=unsaid.code)


class ThreadRun:
    """For a thread: the same, and each call blocks it until the database has answered."""

    __slots__ = ("_loop", "_run", "_token")

    def __init__(self, run: Run, token: Token) -> None:
        self._run = run
        self._token = token
        self._loop = asyncio.get_running_loop()

    @property
    def cancelled(self) -> Token:
        return self._token

    @property
    def log(self) -> Any:
        return self._run.log

    def progress(self, percent: float, note: str = "") -> None:
        self._wait(self._run.progress(percent, note))

    def checkpoint(self, value: Any) -> None:
        self._wait(self._run.checkpoint(value))

    def extend(self, by: timedelta) -> None:
        self._wait(self._run.extend(by))

    def _wait(self, said: Coroutine[Any, Any, T]) -> T:
        future: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(said, self._loop)
        return future.result()
