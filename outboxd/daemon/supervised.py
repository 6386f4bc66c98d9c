"""What systemd hears from us (sd_notify(3)), or nothing where nobody listens.

    EXTEND_TIMEOUT_USEC   while we wait for the database or its schema: that is no failed start
    READY                 once, when /readyz would answer 200
    STATUS                roles and load, for `systemctl status`
    WATCHDOG              while this event loop turns and the worker's beat lives
    STOPPING              when the drain begins

A datagram that does not fit into the socket's queue is dropped, since the next one says the same; READY is
said until it fits.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from outboxd import telemetry
from outboxd.config.supervisor import Supervisor
from outboxd.daemon.readiness import Readiness

_STATUS_EVERY = 10.0
_LOOK = 0.2
_PATIENCE = timedelta(seconds=30)


class Supervised:
    """`beating`: whether the thread that keeps our leases lives; True without a worker."""

    def __init__(self, to: Supervisor | None, roles: tuple[str, ...], beating: Callable[[], bool]) -> None:
        self._to = to
        self._roles = roles
        self._beating = beating
        self._draining = False

    async def run(self, ready: Readiness) -> None:
        """Until cancelled; returns at once where nobody listens."""
        if self._to is None:
            return
        while "failed" in (checks := await ready.checks()).values():
            waits = ", ".join(name for name, state in checks.items() if state == "failed")
            self.tell(f"STATUS=waiting: {waits}", f"EXTEND_TIMEOUT_USEC={_micros(_PATIENCE)}")
            await asyncio.sleep(_LOOK)
        while not self.tell("READY=1"):  # noqa: ASYNC110 - the socket has no event to wait for
            await asyncio.sleep(_LOOK)
        watchdog = self._to.watchdog
        every = _STATUS_EVERY if watchdog is None else min(_STATUS_EVERY, watchdog.total_seconds() / 3)
        while True:
            self.tell(
                f"STATUS={'draining' if self._draining else self._load()}",
                *(["WATCHDOG=1"] if self._beating() else []),
            )
            await asyncio.sleep(every)

    def stopping(self) -> None:
        self._draining = True
        self.tell("STOPPING=1", "STATUS=draining")

    def tell(self, *lines: str) -> bool:
        """Whether it was taken; False where nobody listens."""
        if self._to is None:
            return False
        name = self._to.socket
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to, suppress(OSError):
            to.setblocking(False)
            to.sendto("\n".join(lines).encode(), "\0" + name[1:] if name.startswith("@") else name)
            return True
        return False

    def _load(self) -> str:
        said = {
            "api": f"{telemetry.reading(telemetry.HTTP_IN_FLIGHT):.0f} requests, "
            f"{telemetry.reading(telemetry.STREAMS_OPEN):.0f} streams",
            "work": f"{telemetry.reading(telemetry.SLOTS_IN_USE):.0f} jobs running",
        }
        return "; ".join(f"{role}: {said[role]}" for role in self._roles)


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
