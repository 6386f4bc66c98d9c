"""The token that tells a running job to stop: set once, from any thread, seen by coroutine and thread.

A job that never looks at its token costs nothing but the token: what waits is made when somebody does.
"""

import asyncio
import threading
from collections.abc import Callable

from outboxd.model.contract import Reason

_LOCK = threading.Lock()
"""Of all tokens: each holds it for a few instructions, and a lock each is what a token would cost most."""


class Token:
    """What `run.cancelled` is in a thread."""

    __slots__ = ("_callbacks", "reason")

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self._callbacks: tuple[Callable[[], object], ...] = ()

    def is_set(self) -> bool:
        return self.reason is not None

    def set(self, reason: Reason) -> bool:
        """Whether this was the first reason; later ones change nothing."""
        with _LOCK:
            if self.reason is not None:
                return False
            self.reason = reason
            callbacks = self._callbacks
        for callback in callbacks:
            callback()
        return True

    def on_set(self, callback: Callable[[], object]) -> None:
        """`callback` runs once, in the thread that sets the token; at once when it is set already."""
        with _LOCK:
            if self.reason is None:
                self._callbacks += (callback,)
                return
        callback()

    def off_set(self, callback: Callable[[], object]) -> None:
        with _LOCK:
            self._callbacks = tuple(other for other in self._callbacks if other != callback)

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks the thread until the token is set, or for `timeout` seconds; says whether it is."""
        event = threading.Event()
        self.on_set(event.set)
        try:
            return event.wait(timeout)
        finally:
            self.off_set(event.set)


class LoopToken:
    """What `run.cancelled` is in a coroutine."""

    __slots__ = ("_token",)

    def __init__(self, token: Token) -> None:
        self._token = token

    @property
    def reason(self) -> Reason | None:
        return self._token.reason

    def is_set(self) -> bool:
        return self._token.reason is not None

    async def wait(self, timeout: float | None = None) -> bool:
        """Until the token is set, or for `timeout` seconds; says whether it is."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def told() -> None:
            loop.call_soon_threadsafe(event.set)

        self._token.on_set(told)
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            return self.is_set()
        finally:
            self._token.off_set(told)
        return True
