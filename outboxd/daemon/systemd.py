"""What systemd is told (sd_notify(3)): one datagram each, nothing when nobody asks."""

import socket
from datetime import timedelta


class Supervisor:
    """`address` is NOTIFY_SOCKET, `watchdog` half of WATCHDOG_USEC; both None where there is no systemd."""

    def __init__(self, address: str | None = None, watchdog: timedelta | None = None) -> None:
        self.watchdog = watchdog
        self._address = "\0" + address[1:] if address and address.startswith("@") else address

    def say(self, *words: str) -> None:
        """`READY=1`, `STATUS=…`, `WATCHDOG=1`, `STOPPING=1`. Never raises: it is a courtesy."""
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.sendto("\n".join(words).encode(), self._address)
        except OSError:
            self._address = None
