"""A private PostgreSQL for `up`, `dev`, `demo` and the tests: an ordinary cluster in a data directory.

    DATA/            0700; 0711 as root, so that the server's account may pass
      pgdata/        the cluster                            0700, the account's
      run/           its socket, unless the path is long    0700, the account's
      postgres.log   kept below 10 MiB
      password       of the role `outboxd`, its superuser   0600
      outboxd.lock   held while we live; a second one gets InUse with our pid

Nothing is made where something else is: a cluster is initialised beside its place and renamed
into it, so a SIGKILL in the middle leaves no half of one, and a directory that is neither empty nor
ours is refused. The server is our child and stops when we are killed (`postmaster`); one that still
lives in the directory is adopted, not started twice.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg
import structlog

from outboxd.db import account, binaries, cluster, postmaster
from outboxd.errors import Broken, ConfigError, InUse

log = structlog.get_logger()

LOG_BYTES = 10 * 2**20
_LOG_KEPT = 5 * 2**20
_LOG_CHECK = timedelta(seconds=1)
_READY_WITHIN = timedelta(minutes=10)  # crash recovery of a large log takes minutes
_SOCKET_PATH_BYTES = 90  # the kernel's limit is 108, with room for what postgres appends
_SOCKET = ".s.PGSQL.5432"
_ROLE = _DATABASE = "outboxd"


class Embedded:
    """`start()` gives the DSN; `stop()` ends the server and lets go of the directory.

    `programs` is OUTBOXD_PG_BIN, `user` OUTBOXD_PG_USER. `settings` go to the server as `-c` options
    and win over ours. Everything is called from the main thread, and blocks: it is for boot,
    shutdown and tests.
    """

    def __init__(
        self,
        data: Path,
        *,
        programs: Path | None = None,
        user: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data.absolute()
        self.log_file = self.data / "postgres.log"
        self._pgdata = self.data / "pgdata"
        self._configured = programs
        self._user = user
        self._settings = dict(settings or {})
        self._lock: int | None = None
        self._server: postmaster.Postmaster | None = None

    def start(self) -> str:
        """Makes the cluster if there is none, starts the server and waits until it is ready.

        Returns a DSN of the role that owns everything. Raises ConfigError (nothing to run it with,
        or the directory is not ours), InUse, or Broken when PostgreSQL itself fails.
        """
        if sys.platform == "win32":
            raise ConfigError(["embedded Postgres does not run on Windows: set OUTBOXD_DATABASE_URL"])
        self._who = account.choose(self._user)
        try:
            self._take_directory()
            self._programs = self._choose_programs()
            if not self._pgdata.exists():
                unsafe = self._settings.get("fsync") == "off"
                cluster.make(self._pgdata, self._programs, self._who, role=_ROLE, unsafe=unsafe)
            self._sockets = self._socket_directory()
            self.resume()
            self._create_database()
        except OSError as failed:
            self.stop()
            raise _as_ours(failed, self.data) from failed
        except BaseException:
            self.stop()
            raise
        return self.dsn()

    def stop(self) -> None:
        """Ends the server within 20 s by a clean shutdown, else by force. Safe to call twice."""
        if self._server is not None:
            self._server.stop()
            self._server = None
            if self._sockets.parent != self.data:
                shutil.rmtree(self._sockets, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def crash(self) -> None:
        """The server goes as if it had crashed, and stays away until `resume()`. For drills."""
        if self._server is not None:
            self._server.kill()
            self._server = None

    def resume(self) -> None:
        """Starts the server (again), or adopts the one that lives here; returns when it is ready."""
        self._server = postmaster.left_over(self._pgdata)
        if self._server is not None and not self._adopted(self._server):
            self._server = None
        if self._server is None:
            self._server = postmaster.launch(
                self._programs, self._who, self._pgdata, self._options(), self.log_file
            )
            self._server.wait_ready(_READY_WITHIN, self.log_file)

    def restart_immediate(self) -> None:
        """A crash and the recovery from it, 0.05 to 0.5 s: every session is lost."""
        self.crash()
        self.resume()

    @property
    def psql(self) -> str:
        """Of the server's version, where it came along; else whichever the shell finds."""
        beside = self._programs.folder / "psql"
        return str(beside) if beside.exists() else "psql"

    @property
    def copies(self) -> bool:
        """Whether `copy_to` can be called: some systems pack pg_basebackup apart."""
        return (self._programs.folder / "pg_basebackup").exists()

    def copy_to(self, pgdata: Path) -> None:
        """A copy of the running cluster that will follow it by streaming, once it is started. For drills.

        Raises Broken with what pg_basebackup said, or when it is not there.
        """
        self._who.own(pgdata)
        options = [
            "-D",
            str(pgdata),
            "-d",
            self.dsn("postgres"),
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
        ]
        binaries.run(self._programs.folder / "pg_basebackup", options, self._who.rights())

    def alive(self) -> bool:
        return self._server is not None and self._server.alive()

    async def until_gone(self) -> None:
        """Returns when the server has ended under us; keeps its log below 10 MiB meanwhile."""
        while self.alive():
            self.trim_log()
            await asyncio.sleep(_LOG_CHECK.total_seconds())
        log.error("postgres ended", log=str(self.log_file))

    def trim_log(self) -> None:
        """Drops the older part in place: the server appends, so it goes on at the new end."""
        if not self.log_file.exists() or self.log_file.stat().st_size <= LOG_BYTES - _LOG_KEPT // 2:
            return
        with self.log_file.open("rb+") as file:
            file.seek(-_LOG_KEPT, os.SEEK_END)
            kept = file.read()
            file.truncate(0)
            file.seek(0)
            file.write(kept)

    def dsn(self, database: str = _DATABASE) -> str:
        password = (self.data / "password").read_text().strip()
        return f"postgresql://{_ROLE}:{password}@/{database}?host={quote(str(self._sockets), safe='')}"

    def _take_directory(self) -> None:
        if not _is_ours(self.data):
            raise _misplaced(f"{self.data} is not empty and not a data directory of outboxd: choose another")
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _lock(self.data / "outboxd.lock")
        self.data.chmod(0o700 if self._who.is_us else 0o711)
        blocked = None if self._who.is_us else self._who.blocked_by(self._pgdata)
        if blocked is not None:
            raise _misplaced(
                f"PostgreSQL does not run as root, and the account {self._who.name} cannot pass {blocked}: "
                "choose a directory elsewhere, or set OUTBOXD_PG_USER"
            )

    def _choose_programs(self) -> binaries.Binaries:
        chosen = binaries.choose(binaries.found(self._configured), cluster.major_of(self._pgdata))
        within_reach = all(map(self._who.can_run, (chosen.postgres, chosen.initdb)))
        # What a frozen program unpacks is gone with it, and the server ends after it.
        if within_reach and not getattr(sys, "frozen", False):
            return chosen
        return binaries.copy(chosen, self.data)

    def _socket_directory(self) -> Path:
        inside = self.data / "run"
        if len(os.fsencode(inside / _SOCKET)) <= _SOCKET_PATH_BYTES:
            self._who.own(inside)
            return inside
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:10]
        outside = Path(tempfile.gettempdir()) / f"outboxd-{name}"
        if outside.is_symlink() or (outside.exists() and outside.stat().st_uid != self._who.uid):
            raise ConfigError([f"{outside} belongs to somebody else: choose a shorter OUTBOXD_DATA"])
        self._who.own(outside)
        return outside

    def _options(self) -> dict[str, str]:
        sockets = str(self._sockets).replace('"', '""')
        return {
            "listen_addresses": "",
            "unix_socket_directories": f'"{sockets}"',
            "unix_socket_permissions": "0700",
            "port": "5432",
            "fsync": "on",
            "logging_collector": "off",
            "log_destination": "stderr",
            # As deploy/postgres.conf has them, with the reasons; `server_health` asks for both.
            "idle_in_transaction_session_timeout": "60s",
            "max_locks_per_transaction": "256",
        } | self._settings

    def _adopted(self, server: postmaster.Postmaster) -> bool:
        """Whether the living server can be used; one that is just stopping is waited for."""
        try:
            psycopg.connect(self.dsn("postgres"), connect_timeout=10).close()
        except psycopg.OperationalError as failed:
            if not server.wait_gone(timedelta(seconds=30)):
                raise InUse(
                    f"a PostgreSQL (pid {server.pid}) runs in {self._pgdata} and refuses us"
                ) from failed
            return False
        log.info("adopted postgres", pid=server.pid)
        return True

    def _create_database(self) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as conn:
            if not conn.execute("select from pg_database where datname = %s", [_DATABASE]).rowcount:
                conn.execute(f"create database {_DATABASE}")  # a constant of ours


def _is_ours(data: Path) -> bool:
    """Whether we may live here: nothing there yet, or what we made, or a cluster put back by hand."""
    if not data.exists():
        return True
    if not data.is_dir():
        return False
    if (data / "outboxd.lock").exists() or (data / "pgdata" / "PG_VERSION").exists():
        return True
    return {place.name for place in data.iterdir()} <= {"lost+found"}


def _lock(file: Path) -> int:
    """The descriptor whose life is the lock's. Raises InUse with the holder's pid."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode().strip() or "unknown"
        os.close(lock)
        raise InUse(f"{file.parent} is in use by process {holder}") from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _misplaced(why: str) -> ConfigError:
    return ConfigError([f"OUTBOXD_DATA: {why}"])


def _as_ours(failed: OSError, data: Path) -> Exception:
    if failed.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return ConfigError([f"OUTBOXD_DATA: {data}: {failed.strerror}: {failed.filename}"])
    return Broken(f"{data}: {failed.strerror}")
