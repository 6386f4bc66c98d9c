"""One execution of one job: from its payload to what is said of its end.

    payload ──▶ handler ──▶ returned, raised ──▶ writes? ── yes ──▶ its own transaction ──▶ settled
       │           │                               └────── no ───▶ buffer ──▶ settled with others
       │           ├─ time is up ── token, cancel, 2 s ──▶ timed_out
       │           ├─ cancelled by a caller ─────────────▶ nothing: the database has its end
       │           └─ lease lost, worker fenced ─────────▶ nothing: it is somebody else's
       └─ a token that is set decides, whatever the handler then does

An execution says its end once. What a handler does afterwards (a thread cannot be stopped) is
dropped, and its slot stays taken until it returns.
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Protocol

import msgspec
import structlog

from outboxd.errors import Unavailable
from outboxd.loops import ends
from outboxd.loops.runs import Run, ThreadRun
from outboxd.loops.threads import Threads
from outboxd.loops.tokens import Token
from outboxd.model import Claimed, Job, job_of
from outboxd.model.contract import Ended, Handler, Reason
from outboxd.telemetry import spans

log = structlog.get_logger()

CLEAN_UP = 2.0
"""Seconds that a coroutine has after its time."""
_LONGEST = timedelta(hours=24)
_PAUSE = 0.2

_FAILED = frozenset({"failed", "timed_out"})
_TOLD: dict[Reason, Ended | None] = {
    "timeout": ends.TIMED_OUT,
    "cancelled": None,
    "lease_lost": None,
    "shutdown": None,
}
"""What a job ends with when it was told to stop; None: that is said elsewhere, or by nobody."""


class Shift(Protocol):
    """What an execution needs of the enlistment it belongs to."""

    threads: Threads
    loop: asyncio.AbstractEventLoop

    async def payload(self, claimed: Claimed) -> msgspec.Raw: ...
    async def report(self, claimed: Claimed, progress: bytes | None, checkpoint: bytes | None) -> None: ...
    async def extend(self, execution: "Execution") -> None: ...
    async def finish(self, claimed: Claimed, handler: Handler, ended: Ended, ms: int) -> Ended | None: ...
    def say(self, claimed: Claimed, ended: Ended, ms: int) -> None: ...
    def gone(self, execution: "Execution") -> None: ...
    def broke(self, fault: Exception) -> None: ...
    def spawn(self, said: Coroutine[Any, Any, None]) -> None: ...


class Execution:
    """`start` makes its task; `stop` tells it to end."""

    __slots__ = ("_begun", "_entered", "_in_thread", "_loop", "_run", "_shift", "_task", "_timer",
                 "claimed", "finishing", "handler", "said", "token", "until")  # fmt: skip

    def __init__(self, claimed: Claimed, handler: Handler, shift: Shift) -> None:
        self.claimed = claimed
        self.handler = handler
        self.token = Token()
        self.said = False
        """Its end is settled, said, or nobody's business any more."""
        self.finishing = False
        self._shift = shift
        self._loop = shift.loop
        self._begun = self._loop.time()
        self.until = self._begun + claimed.timeout.total_seconds()
        """When its time is up, by the loop's clock."""
        self._run = Run(claimed, self.token, self)
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_thread = False
        self._entered = False

    def start(self) -> None:
        self._task = self._loop.create_task(self._live())

    async def _live(self) -> None:
        self._entered = True
        try:
            if not self._stopped():
                self._say(await self._traced())
        except Exception as fault:  # noqa: BLE001  ours: what a handler raises has been judged before
            self._shift.broke(fault)
        finally:
            self._disarm()
            self._run.close()
            self._shift.gone(self)

    def stop(self, reason: Reason) -> None:
        """Tells the handler why, and ends its coroutine unless it may still end by itself."""
        self.token.set(reason)
        if reason == "shutdown" or (reason == "cancelled" and self.finishing):
            return
        self._cancel()

    @property
    def task(self) -> asyncio.Task[None]:
        assert self._task is not None  # noqa: S101  whoever asks has started it
        return self._task

    def abandon(self) -> bool:
        """Whatever it still says is dropped; whether it had not said its end."""
        first, self.said = not self.said, True
        self._cancel()
        return first

    async def report(self, *, progress: bytes | None = None, checkpoint: bytes | None = None) -> None:
        await self._shift.report(self.claimed, progress, checkpoint)

    async def extend(self, by: timedelta) -> None:
        """Moves the time limit to `by` from now, and the lease's after it."""
        latest = self._begun + _LONGEST.total_seconds()
        self.until = min(self._loop.time() + by.total_seconds(), latest)
        if self._timer is not None:
            self._arm()
        await self._shift.extend(self)

    def spawn(self, said: Coroutine[Any, Any, None]) -> None:
        self._shift.spawn(said)

    def _stopped(self) -> bool:
        return self.said or self.token.is_set()

    async def _traced(self) -> Ended | None:
        claimed = self.claimed
        with spans.span("attempt", claimed.traceparent, queue=claimed.queue, handler=claimed.handler) as span:
            span.note(job=claimed.job_id, event=claimed.event_id, project=claimed.project_id)
            span.note(request=claimed.request_id)
            ended = await self._end()
            if ended is not None:
                span.ended(ended.class_ or ended.outcome, failed=ended.outcome in _FAILED)
        return ended

    async def _end(self) -> Ended | None:
        try:
            ended = await self._called()
            told = self.token.reason
            if told in _TOLD and told != "shutdown":
                return _TOLD[told]
            if self.handler.inside is None and not ends.publishes(ended):
                return ended
            self.finishing = True
            return await self._shift.finish(self.claimed, self.handler, ended, self.ms)
        except asyncio.CancelledError:
            reason = self.token.reason
            if reason is None and not self.said:
                raise
            return None if reason is None else _TOLD[reason]

    async def _called(self) -> Ended:
        """What the handler returned or raised. Cancellation from outside passes through."""
        self._arm()
        try:
            if self.handler.inside is not None:
                await self._whole()
                return ends.COMPLETED
            return ends.of_result(await self._call(await self._job()))
        except asyncio.CancelledError as raised:
            if self.token.is_set() or self.said or _asked_to_stop():
                raise
            return ends.of_error(raised)
        except GeneratorExit:
            raise
        except BaseException as raised:  # noqa: BLE001  whatever a handler raises is its job's end
            return ends.of_error(raised)
        finally:
            self._disarm()

    async def _job(self) -> Job:
        claimed = await self._whole()
        payload = claimed.payload
        job = job_of(claimed, None if payload is None else msgspec.json.decode(payload))
        if claimed.checkpoint is None:
            return job
        return msgspec.structs.replace(job, checkpoint=msgspec.json.decode(claimed.checkpoint))

    async def _whole(self) -> Claimed:
        """With its payload: a large one stayed behind at the claim."""
        if self.claimed.payload is None and self.claimed.payload_bytes:
            self.claimed = msgspec.structs.replace(self.claimed, payload=await self._fetch())
        return self.claimed

    async def _fetch(self) -> msgspec.Raw:
        """A database that is away says nothing about the handler: ask again until the time is up."""
        while True:
            try:
                return await self._shift.payload(self.claimed)
            except Unavailable as away:
                log.warning("payload not fetched", code=away.code, job=str(self.claimed.job_id))
            await asyncio.sleep(_PAUSE)

    async def _call(self, job: Job) -> Any:
        call = self.handler.call
        assert call is not None  # noqa: S101  a handler has one of the two
        if not self.handler.blocking:
            result: Any = call(job, self._run)
            return await result
        run = ThreadRun(self._run, self.token)
        self._in_thread = True
        try:
            return await self._shift.threads.run(lambda: call(job, run))
        finally:
            self._in_thread = False

    @property
    def ms(self) -> int:
        return round((self._loop.time() - self._begun) * 1000)

    def _say(self, ended: Ended | None) -> None:
        if ended is not None and not self.said:
            self.said = True
            self._shift.say(self.claimed, ended, self.ms)

    def _arm(self) -> None:
        self._disarm()
        self._timer = self._loop.call_at(self.until, self._time_is_up)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        self._timer = self._loop.call_later(CLEAN_UP, self._say, ends.TIMED_OUT)
        self.stop("timeout")

    def _cancel(self) -> None:
        # A thread goes on whatever we do, and so must the task that holds its slot; one that is
        # cancelled before its first step would never give its slot back, and sees its token anyway.
        if self._task is not None and self._entered and not self._in_thread:
            self._task.cancel()


def _asked_to_stop() -> bool:
    """Whether somebody cancels this task, or the handler only raised CancelledError."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
