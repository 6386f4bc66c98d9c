"""`outboxd` as a process of its own: a clean environment, a free port, a log that a test can read."""

import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx2
import psycopg

ROOT = Path(__file__).parents[2]
READY = 20.0

Answer = tuple[int, Any]


class Daemon:
    """Started by its constructor; `close()` ends it however it stands."""

    def __init__(self, folder: Path, dsn: str, *words: str, **settings: str) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self._log = folder / f"{self.port}.log"
        given = {
            "OUTBOXD_DATABASE_URL": dsn,
            "OUTBOXD_PORT": str(self.port),
            "OUTBOXD_METRICS_LISTEN": f"127.0.0.1:{self.metrics_port}",
            "OUTBOXD_SECRET_KEYS": f"test:{b64encode(bytes(32)).decode()}",
            "OUTBOXD_BEAT_S": "1",
            "OUTBOXD_DRAIN_DELAY_S": "0",
            "OUTBOXD_LOG_FORMAT": "json",
            "OUTBOXD_GENERATION": "off",
            **{
                name if name.startswith("OTEL_") else f"OUTBOXD_{name.upper()}": value
                for name, value in settings.items()
            },
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "outboxd", *words], cwd=ROOT, env=given, stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str, port: int | None = None) -> Answer | None:
        """Status and body; None while nobody answers."""
        try:
            got = httpx2.get(f"http://127.0.0.1:{port or self.metrics_port}{path}", timeout=5)
        except httpx2.TransportError:
            return None
        return got.status_code, got.text

    def status(self, path: str, port: int | None = None) -> int | None:
        answer = self.get(path, port)
        return answer and answer[0]

    def until(self, path: str, status: int, limit: float = READY) -> float:
        """Seconds it took until the probe says so. Raises AssertionError with the log."""
        began = time.monotonic()
        while self.status(path) != status:
            took = time.monotonic() - began
            assert took < limit, f"{path} is {self.get(path)} after {took:.1f} s\n{self.log}"
            assert self.process.poll() is None, f"ended with {self.process.returncode}\n{self.log}"
            time.sleep(0.05)
        return time.monotonic() - began

    def ready(self) -> "Daemon":
        self.until("/readyz", 200)
        return self

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def gone(self, limit: float) -> int:
        """Its exit status. Raises AssertionError with the log when it stays."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {limit} s\n{self.log}") from None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Place:
    """A database with the schema, asked from outside, and the daemons that were started on it."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder, self.dsn = folder, dsn
        self.daemons: list[Daemon] = []

    def start(self, *words: str, **settings: str) -> Daemon:
        made = Daemon(self.folder, self.dsn, *words, **settings)
        self.daemons.append(made)
        return made

    def serve(self, **settings: str) -> Daemon:
        return self.start("serve", **settings)

    def work(self, *words: str, **settings: str) -> Daemon:
        return self.start("work", "--app", "tests.daemon.crew_app:app", *words, **settings)

    def value(self, statement: str, *given: Any) -> Any:
        """The first column of the first row; None without one."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            row = conn.execute(statement.encode(), given or None).fetchone()
        return None if row is None else row[0]

    def until(self, statement: str, *given: Any, limit: float = 10) -> float:
        """Seconds until the statement's value is true."""
        began = time.monotonic()
        while not self.value(statement, *given):
            took = time.monotonic() - began
            logs = "\n".join(daemon.log for daemon in self.daemons)
            assert took < limit, f"{statement} {given} is not so after {limit} s\n{logs}"
            time.sleep(0.05)
        return time.monotonic() - began

    def project(self) -> str:
        team = self.value("select outbox.make_team(outbox.me(), 'acme')")
        return str(self.value("select outbox.make_project(outbox.me(), %s, 'shop')", team))

    def enqueue(self, project: str, handler: str, payload: str = "{}") -> str:
        return str(
            self.value(
                "select job_id from outbox.enqueue(outbox.me(), %s, %s, %s,"
                " jsonb_build_object('handler', %s::text))",
                handler,
                payload,
                project,
                handler,
            )
        )

    def close(self) -> None:
        for daemon in self.daemons:
            daemon.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
