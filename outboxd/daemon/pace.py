"""How the interpreter is set for a process that runs for weeks: its event loop, and its garbage collector."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

from outboxd.daemon.process import loop_factory

T = TypeVar("T")

_YOUNG, _MIDDLE, _OLD = 50_000, 20, 100
"""Objects that a collection waits for, and collections of the younger that the older wait for. With
Python's own 700 the collector was a fifth of what a job costs; what has no cycles is freed without it."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """`main` on the loop that is to be had. What has been imported until now is never collected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)
