"""One running server process: ours, started here, or one that somebody left and we found.

    starting ──ready()──▶ ready ──stop()──▶ gone
                            └────kill()───▶ gone      as a crash: nothing is flushed

The server is our direct child, not pg_ctl's, in a session of its own so that Ctrl-C reaches us
first. Where the kernel can, it stops by itself when we are killed.
"""

import os
import signal
import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog

from outboxd.db import account, binaries
from outboxd.errors import Broken

log = structlog.get_logger()

_STEP = 0.01
_PATIENCE = timedelta(seconds=20)
_FINAL = timedelta(seconds=5)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `postmaster.pid` says."""

    pid: int
    ready: bool


class Postmaster:
    def __init__(self, pgdata: Path, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._pgdata = pgdata
        self._child = child

    def alive(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return _is_server(self.pid, self._pgdata)

    def wait_ready(self, limit: timedelta, log_file: Path) -> None:
        """Blocks until the server takes connections; crash recovery is waited for, within `limit`.

        Raises Broken when it ends instead, with the last line of its log.
        """
        deadline = time.monotonic() + limit.total_seconds()
        while time.monotonic() < deadline:
            status = status_of(self._pgdata)
            if status is not None and status.pid == self.pid and status.ready:
                return
            if not self.alive():
                raise Broken(f"PostgreSQL ended while starting: {_last_line(log_file)}; see {log_file}")
            time.sleep(_STEP)
        raise Broken(f"PostgreSQL was not ready within {limit}; see {log_file}")

    def stop(self) -> None:
        """Clean: sessions are ended, everything is flushed. After 20 s without their flush."""
        log.info("stopping postgres", pid=self.pid)
        self._signal(signal.SIGINT)
        if not self.wait_gone(_PATIENCE):
            log.warning("postgres does not stop, stopping it at once", pid=self.pid)
            self.kill()

    def kill(self) -> None:
        """As a crash: the server leaves at once and recovers from its log at the next start."""
        self._signal(signal.SIGQUIT)
        if not self.wait_gone(_FINAL):
            self._signal(signal.SIGKILL)
            self.wait_gone(_FINAL)

    def wait_gone(self, limit: timedelta) -> bool:
        deadline = time.monotonic() + limit.total_seconds()
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_STEP)
        return True

    def _signal(self, which: signal.Signals) -> None:
        if self.alive():
            os.kill(self.pid, which)


def launch(
    programs: binaries.Binaries, who: account.Account, pgdata: Path, options: dict[str, str], log_file: Path
) -> Postmaster:
    """Starts the server; it is not ready yet. Only the main thread may: see `dies_with_us`."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("the server must be started by the main thread: it would die with any other")
    command = [str(programs.postgres), "-D", str(pgdata)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    with os.fdopen(os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
        child = subprocess.Popen(  # noqa: S603  the program is one that `binaries` found
            command,
            cwd="/",
            env=binaries.children_environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=account.dies_with_us(signal.SIGINT),  # noqa: PLW1509  the main thread, before others
            **who.rights(),
        )
    log.info("started postgres", pid=child.pid, version=programs.version, account=who.name)
    return Postmaster(pgdata, child.pid, child)


def status_of(pgdata: Path) -> Status | None:
    """What the server of this directory last wrote about itself; None without a file that says it."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
        return Status(pid=int(lines[0]), ready=len(lines) > 7 and lines[7].strip() == "ready")
    except (OSError, ValueError, IndexError):
        return None


def left_over(pgdata: Path) -> Postmaster | None:
    """The living server of this directory that somebody else started, or None."""
    status = status_of(pgdata)
    if status is None or not _is_server(status.pid, pgdata):
        return None
    return Postmaster(pgdata, status.pid)


def _is_server(pid: int, pgdata: Path) -> bool:
    """A pid is reused: it is the server's only when the process stands in that directory."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == pgdata.resolve()
    except FileNotFoundError:
        return not Path("/proc/self/cwd").exists()  # no such file system: believe the pid
    except PermissionError:
        return False


def _last_line(log_file: Path) -> str:
    lines = log_file.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
