"""Where the demo happens: a temporary directory with a Postgres, and our processes beside it.

Nothing of it is left afterwards, whatever ends the demo; killed outright, the kernel ends its children.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path

import psycopg

from outboxd.cli.demo.stage import Unmet
from outboxd.config import Config, program
from outboxd.db import account, binaries
from outboxd.db.embedded import Embedded

_PATIENCE = 8.0
_TAIL = 6
_APP = "outboxd.cli.demo.app:app"


class Place:
    def __init__(self, config: Config) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="outboxd-demo-"))
        # The server's account has to pass, where we are root and it is not.
        self.folder.chmod(0o711)
        self._postgres = Embedded(self.folder / "data", programs=config.pg_bin, user=config.pg_user)
        self.dsn = ""
        self.ports = _free_ports(2)
        """Of its two servers."""
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._sealing = "demo:" + b64encode(os.urandom(32)).decode()

    @property
    def url(self) -> str:
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def start_postgres(self) -> str:
        """From the main thread, before there is another; its name and version."""
        self.dsn = self._postgres.start()
        with psycopg.connect(self.dsn) as conn:
            return f"PostgreSQL {conn.info.parameter_status('server_version')}"

    def start_servers(self) -> list[int]:
        """One a port, which know nothing of each other; their pids."""
        return [
            self.start(f"server-{n}", "serve", OUTBOXD_PORT=str(port)) for n, port in enumerate(self.ports, 1)
        ]

    def start_worker(self, name: str) -> int:
        return self.start(name, "work", "--app", _APP)

    def start(self, name: str, *words: str, **settings: str) -> int:
        """`outboxd <words>` as a process of its own, which logs into the directory; its pid."""
        with self._log(name).open("wb") as out:
            child = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-m", "outboxd", *words],
                env=self._environment() | settings,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=account.dies_with_us(signal.SIGKILL),  # noqa: PLW1509  from the main thread
            )
        self._children[name] = child
        return child.pid

    def kill(self, pid: int) -> None:
        """SIGKILL: as the kernel does it when memory is short."""
        child = next(child for child in self._children.values() if child.pid == pid)
        child.kill()
        child.wait()
        self._children = {name: each for name, each in self._children.items() if each is not child}

    def check_alive(self) -> None:
        """Raises Unmet with the end of its log when a process has ended by itself."""
        for name, child in self._children.items():
            if child.poll() is not None:
                raise Unmet(f"{name} ended with status {child.returncode}:\n{self.tail(name)}")

    def tail(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL:])

    def logs(self) -> list[tuple[str, str]]:
        """What each process said last."""
        return [(log.stem, self.tail(log.stem)) for log in sorted(self.folder.glob("*.log"))]

    def close(self) -> None:
        """Asks the processes to end, makes them, stops Postgres, removes the directory."""
        try:
            for child in self._children.values():
                child.terminate()
            for child in self._children.values():
                _ended(child)
        finally:
            self._postgres.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _environment(self) -> dict[str, str]:
        """Nothing of the user's settings; webhooks may go to loopback, for projects that are opted in."""
        return {
            **binaries.children_environment(),
            **program.inherited(),
            "PYTHONUNBUFFERED": "1",
            "OUTBOXD_DATABASE_URL": self.dsn,
            "OUTBOXD_DATA": str(self.folder / "process"),
            "OUTBOXD_SECRET_KEYS": self._sealing,
            "OUTBOXD_EGRESS_ALLOW": "127.0.0.0/8",
            "OUTBOXD_EGRESS_PORTS": "any",
            "OUTBOXD_EGRESS_HTTP": "on",
            "OUTBOXD_DRAIN_DELAY_S": "0",
            "OUTBOXD_GENERATION": "off",
            "OUTBOXD_DRAIN_S": "3",
            "OUTBOXD_LOG_FORMAT": "text",
        }


def _ended(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _free_ports(count: int) -> list[int]:
    """Held until all are known, so that they differ."""
    with ExitStack() as held:
        taken = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in taken]
