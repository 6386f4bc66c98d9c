"""Who watches over this process and wants to hear of it: systemd, by the variables of sd_notify(3)."""

import os
from collections.abc import Mapping
from datetime import timedelta

import msgspec


class Supervisor(msgspec.Struct, frozen=True, kw_only=True):
    socket: str
    """A path, or an abstract name that starts with @."""
    watchdog: timedelta | None = None
    """It ends us when it hears nothing for so long; None: it does not count."""


def supervisor(environ: Mapping[str, str]) -> Supervisor | None:
    """None where nobody listens."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    return Supervisor(socket=address, watchdog=_watchdog(environ))


def _watchdog(environ: Mapping[str, str]) -> timedelta | None:
    """Meant for this process alone: what a parent of ours was told is not for us."""
    meant, micros = environ.get("WATCHDOG_PID") or str(os.getpid()), environ.get("WATCHDOG_USEC", "")
    if meant != str(os.getpid()) or not micros.isascii() or not micros.isdigit() or int(micros) == 0:
        return None
    return timedelta(microseconds=int(micros))
