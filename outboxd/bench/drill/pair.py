"""The drill's own servers: a primary and, where wanted, a standby that streams from it.

    dsn names both, target_session_attrs=read-write
    a ──WAL──▶ b        synchronous_standby_names = '*': a COMMIT returns when b has it on disk
    failover:  a is killed, b promoted, a made anew from b, and b waits for it again

As a failover manager does, the promoted server takes commits alone until the other follows it.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outboxd.bench.drill.room import Room
from outboxd.db.embedded import Embedded

_SETTINGS = {
    "max_connections": "200",
    "wal_level": "replica",
    "hot_standby": "on",
    "max_wal_senders": "6",
    "max_wal_size": "96MB",
    "min_wal_size": "32MB",
    "wal_keep_size": "48MB",
    "wal_receiver_status_interval": "1",
    "wal_receiver_timeout": "5s",
    "wal_retrieve_retry_interval": "200ms",
    "log_min_messages": "warning",
}
_FOLLOWS = 20.0
_STANDING = """
  select count(*) from pg_stat_replication where state = 'streaming' and (sync_state = %s or %s = 'any')
"""


class Pair:
    """Everything here is called from the main thread: a server dies with the thread that made it."""

    def __init__(
        self,
        folder: Path,
        *,
        standby: bool,
        lossy: bool = False,
        small: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`lossy`: nobody waits for the standby. `small`: WAL on file systems that can be filled."""
        self._folder, self._lossy = folder, lossy
        self._settings = _SETTINGS | dict(settings or {})
        self._rooms = {name: Room(folder / f"wal-{name}") for name in ("a", "b")} if small else {}
        self.primary = self._server("a")
        self.standby = self._server("b") if standby else None
        self.dsn = ""
        self.promotions = 0

    def start(self) -> None:
        """Raises ConfigError or Broken, as Embedded does."""
        try:
            self.primary.start()
            self._confine(self.primary)
            hosts = [self._host(self.primary)]
            if not self.primary.copies:
                self.standby = None
            if self.standby is not None:
                self._copy()
                self._follow()
                hosts.append(self._host(self.standby))
        except BaseException:
            self.stop()
            raise
        attrs = "read-write" if self.standby is not None else "any"
        self.dsn = make_conninfo(
            self.primary.dsn(), host=",".join(hosts), target_session_attrs=attrs, connect_timeout=5
        )

    def stop(self) -> None:
        for server in (self.standby, self.primary):
            if server is not None:
                server.stop()
        for room in self._rooms.values():
            room.close()

    def restart(self) -> None:
        """A crash of the primary, and its recovery."""
        self.primary.restart_immediate()

    def ready_to_fail_over(self, within: float = 15.0) -> bool:
        """Whether the standby has all that was acknowledged."""
        if self.standby is None:
            return False
        state = "any" if self._lossy else "sync"
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                if self._ask(self.primary, _STANDING, state, state):
                    return True
            time.sleep(0.05)
        return False

    def fail_over(self, promoted: Callable[[], None] = lambda: None) -> None:
        """Kills the primary, promotes the standby, makes the other anew; returns when it follows."""
        assert self.standby is not None  # noqa: S101 - `ready_to_fail_over` has said so
        self.primary.crash()
        promoted()
        self._ask(self.standby, "select pg_promote(true, 20)")
        self.primary, self.standby = self.standby, self.primary
        self._wait_for(self.primary, "")
        self.promotions += 1
        self._copy()
        self._follow()

    def fill_disk(self) -> bool:
        """Leaves no room for WAL. False where it could not be confined to a small file system."""
        room = self._rooms.get(self.primary.data.name)
        if room is None or not room.mounted:
            return False
        room.fill()
        # Segments that are there can still be written: they are used up.
        with suppress(psycopg.Error), psycopg.connect(self.primary.dsn(), autocommit=True) as conn:
            conn.execute("set statement_timeout = '2s'")
            for _ in range(12):
                conn.execute("select pg_switch_wal(), pg_logical_emit_message(false, '', repeat('x', 9000))")
        return True

    def free_disk(self) -> None:
        """Room again; a server that gave up is started."""
        self._rooms[self.primary.data.name].free()
        try:
            psycopg.connect(self.primary.dsn(), connect_timeout=5).close()
        except psycopg.OperationalError:
            self.primary.restart_immediate()

    @property
    def confined(self) -> str | None:
        """Why the disk cannot be filled; None when it can."""
        refused = [room.refused for room in self._rooms.values() if room.refused]
        return refused[0] if refused else None

    def _server(self, name: str) -> Embedded:
        return Embedded(self._folder / name, settings=self._settings)

    def _copy(self) -> None:
        """The standby as a copy of the primary that will follow it, not yet started."""
        assert self.standby is not None  # noqa: S101 - who calls has seen to it
        self.standby.stop()
        data = self.standby.data
        shutil.rmtree(data / "pgdata", ignore_errors=True)
        data.mkdir(mode=0o711, exist_ok=True)
        (data / "password").write_bytes((self.primary.data / "password").read_bytes())
        self.primary.copy_to(data / "pgdata")
        if data.name in self._rooms:
            self._rooms[data.name].take(data / "pgdata")

    def _follow(self) -> None:
        assert self.standby is not None  # noqa: S101 - who calls has seen to it
        self.standby.start()
        deadline = time.monotonic() + _FOLLOWS
        while not self._ask(self.primary, _STANDING, "any", "any"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the standby does not follow; see {self.standby.log_file}")
            time.sleep(0.05)
        if not self._lossy:
            self._wait_for(self.primary, "*")

    def _wait_for(self, server: Embedded, names: str) -> None:
        """Whose confirmation a COMMIT on that server waits for."""
        self._ask(server, f"alter system set synchronous_standby_names = '{names}'")
        self._ask(server, "select pg_reload_conf()")

    def _confine(self, server: Embedded) -> None:
        """Its WAL goes to a small file system of its own, where there may be one."""
        room = self._rooms.get(server.data.name)
        if room is not None and room.open():
            server.crash()
            room.take(server.data / "pgdata")
            server.resume()

    @staticmethod
    def _host(server: Embedded) -> str:
        return str(conninfo_to_dict(server.dsn())["host"])

    @staticmethod
    def _ask(server: Embedded, statement: str, *values: object) -> object:
        """The first column of the answer, if there is one."""
        with psycopg.connect(server.dsn("postgres"), autocommit=True, connect_timeout=5) as conn:
            cur = conn.execute(statement.encode(), values or None)
            row = cur.fetchone() if cur.description else None
        return None if row is None else row[0]
