"""Threads for handlers that block: a fixed number, and none that keeps the process from ending.

A thread cannot be killed. The standard library's pool waits for its threads at exit, so a handler
that hangs would hang the shutdown too; these are daemons and are left behind.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")
Task = Callable[[], None]


class Threads:
    """Threads are started as they are needed, `size` at most, and kept."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._started = 0
        self._busy = 0

    @property
    def free(self) -> int:
        """How many calls would start at once."""
        return self._size - self._busy

    def run(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        """`call` in a thread. Its BaseExceptions are the future's, so a handler cannot kill its thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._busy += 1
        if self._busy > self._started and self._started < self._size:
            self._started += 1
            threading.Thread(target=self._work, name=f"handler-{self._started}", daemon=True).start()
        self._tasks.put(lambda: _carry_out(call, loop, future, self._idle))
        return future

    def close(self) -> None:
        """Threads end when what they do ends; nobody waits for that."""
        for _ in range(self._started):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def _idle(self) -> None:
        self._busy -= 1


def _carry_out(
    call: Callable[[], T],
    loop: asyncio.AbstractEventLoop,
    future: "asyncio.Future[T]",
    idle: Callable[[], None],
) -> None:
    try:
        result = call()
    except BaseException as failed:  # noqa: BLE001  whatever it is, it is the caller's to judge
        _tell(loop, partial(_fail, future, failed, idle))
    else:
        _tell(loop, partial(_succeed, future, result, idle))


def _tell(loop: asyncio.AbstractEventLoop, said: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(said)
    except RuntimeError:  # the loop is closed: nobody is left to be told
        return


def _succeed(future: "asyncio.Future[T]", result: T, idle: Callable[[], None]) -> None:
    idle()
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[T]", failed: BaseException, idle: Callable[[], None]) -> None:
    idle()
    if not future.done():
        # A future cannot hold StopIteration, and SystemExit in one would end the loop.
        future.set_exception(failed if isinstance(failed, Exception) else EscapedError(failed))


class EscapedError(Exception):
    """A handler's thread raised what is not an Exception: SystemExit, KeyboardInterrupt."""

    def __init__(self, what: BaseException) -> None:
        super().__init__(type(what).__name__)
        self.what = what
