"""One connection to Postgres, whose silence is noticed.

TCP does not tell when a network swallows packets: a statement, and even its cancellation, then
waits for ever. So every wait for the server has a limit, after which the socket is shut under
libpq; that wakes the waiter with an OperationalError at once and marks the connection broken.
"""

import asyncio
import os
import select
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import structlog
from psycopg import AsyncConnection, conninfo
from psycopg.abc import PQGen
from psycopg.rows import DictRow
from psycopg.types.json import set_json_loads

from outboxd import telemetry

log = structlog.get_logger()

RV = TypeVar("RV")


class Link(AsyncConnection[DictRow]):
    """`silence` is how long the server may say nothing to what it was asked."""

    silence: timedelta = timedelta(seconds=10)
    on_cut: Callable[[], None] | None = None
    answered_at: float = float("-inf")
    """When it last answered, by the monotonic clock."""

    async def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        """The one place where psycopg waits for the server."""
        watch = asyncio.get_running_loop().call_later(self.silence.total_seconds(), self._silent)
        try:
            answer = await super().wait(gen, *args, **kwargs)
        finally:
            watch.cancel()
        self.answered_at = time.monotonic()
        return answer

    def proven(self, within: float) -> bool:
        """It answered within so many seconds and has heard nothing since: a server that ends a
        connection says so, and what it says waits in the socket."""
        if self.closed or time.monotonic() - self.answered_at > within:
            return False
        said = select.poll()
        said.register(self.pgconn.socket, select.POLLIN | select.POLLPRI)
        return not said.poll(0)

    def cut(self) -> None:
        """Shuts the socket; whoever waits on it gets an OperationalError now."""
        if self.closed:
            return
        telemetry.DB_NETWORK_CUTS_TOTAL.inc()
        with socket.socket(fileno=os.dup(self.pgconn.socket)) as other:
            try:
                other.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("connection was gone already")

    def _silent(self) -> None:
        log.warning("database silent, connection cut", seconds=self.silence.total_seconds())
        self.cut()
        if self.on_cut is not None:
            self.on_cut()


def reachable(dsn: str, net_timeout: timedelta, application: str) -> str:
    """The DSN with limits on connecting and on dead peers, where it does not name its own.

    No `options`: transaction poolers refuse it.
    """
    seconds = max(2, round(net_timeout.total_seconds()))  # libpq takes whole seconds, 2 at least
    limits: dict[str, Any] = {
        "connect_timeout": seconds,
        "tcp_user_timeout": seconds * 1000,
        "keepalives": 1,
        "keepalives_idle": seconds,
        "keepalives_interval": max(1, seconds // 3),
        "keepalives_count": 3,
        "application_name": application,
    }
    return conninfo.make_conninfo("", **{**limits, **conninfo.conninfo_to_dict(dsn)})


def patient(dsn: str, seconds: int) -> str:
    """The DSN with a limit on connecting to each of its hosts, where it does not name its own."""
    return conninfo.make_conninfo("", **{"connect_timeout": seconds, **conninfo.conninfo_to_dict(dsn)})


def words(failed: Exception) -> str:
    """Why nobody could be reached, in libpq's words; they name host and role, never the password."""
    lines = [line.strip() for line in str(failed).splitlines()]
    said = [line for line in lines if line and not line.startswith("Is the server running")]
    return " ".join(said) or type(failed).__name__


async def configure(conn: AsyncConnection[Any]) -> None:
    """JSON leaves the driver as bytes: most of it is passed on, and `rows` decodes the rest."""
    set_json_loads(_raw, conn)


def _raw(data: str | bytes) -> msgspec.Raw:
    return msgspec.Raw(data.encode() if isinstance(data, str) else bytes(data))
