"""Where jobs that came in one claim are brought, to be served together.

A worker starts the jobs of a claim in one turn of the loop; what is brought within the next few turns
is served as one batch, in a task of its own. A job that is told to stop takes its own request back;
when everybody who wanted an answer has gone, the call for it is aborted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec

from outboxd.model import Job
from outboxd.model.contract import Ended, Run

_TURNS = 4
"""From a job's start to its request pass two or three."""

Serve = Callable[[Sequence["Brought"]], Awaitable[None]]


class Brought(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    job: Job
    run: Run
    over: asyncio.Future[Ended]

    @property
    def wanted(self) -> bool:
        return not self.over.done()

    def end(self, ended: Ended) -> None:
        if self.wanted:
            self.over.set_result(ended)

    def fail(self, why: BaseException) -> None:
        if self.wanted:
            self.over.set_exception(why)


class Desk:
    """`serve` ends everything it is given; what it raises is the end of what it left."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._waiting: list[Brought] = []
        self._serving: set[asyncio.Task[None]] = set()

    async def bring(self, job: Job, run: Run) -> Ended:
        loop = asyncio.get_running_loop()
        brought = Brought(job=job, run=run, over=loop.create_future())
        self._waiting.append(brought)
        if len(self._waiting) == 1:
            task = loop.create_task(self._open())
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        return await brought.over

    async def _open(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        batch, self._waiting = self._waiting, []
        await answered(batch, self._serve(batch))  # type: ignore[arg-type]  # coroutines of ours


async def answered(batch: Sequence[Brought], work: Coroutine[Any, Any, None]) -> None:
    """Does `work` for the batch, as long as somebody wants it. Never raises: that is told to the batch."""
    task = asyncio.ensure_future(work)

    def gone(_: asyncio.Future[Ended]) -> None:
        if not any(each.wanted for each in batch):
            task.cancel()

    for each in batch:
        each.over.add_done_callback(gone)
    try:
        await asyncio.wait({task})
    finally:
        for each in batch:
            each.over.remove_done_callback(gone)
        task.cancel()
    fault = asyncio.CancelledError() if task.cancelled() else task.exception()
    for each in batch:
        each.fail(fault or RuntimeError("a job of generation was left without an end"))
