"""SIGTERM, SIGINT and SIGHUP drain; a second one hurries; SIGUSR1 says what is going on.

The HTTP server must not have them: it waits without end for open streams, and raises the signal
again after it has stopped, so that nothing behind it would run.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger()

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Ending:
    """`stop` is set by the first signal, `hurry` by the second."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def asked(self, name: str) -> None:
        if self.stop.is_set():
            log.warning("hurrying", signal=name)
            self.hurry.set()
        else:
            log.info("draining", signal=name)
            self.stop.set()


@contextmanager
def handled(ending: Ending, tell: Callable[[], None]) -> Iterator[None]:
    """For the length of the block; `tell` is called at SIGUSR1."""
    loop = asyncio.get_running_loop()
    for number in _ENDING:
        loop.add_signal_handler(number, ending.asked, number.name)
    loop.add_signal_handler(signal.SIGUSR1, tell)
    try:
        yield
    finally:
        for number in (*_ENDING, signal.SIGUSR1):
            loop.remove_signal_handler(number)
