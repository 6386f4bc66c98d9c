"""The stage of processes: `outboxd serve` and `work` on loopback, on an embedded Postgres or a given one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from deploy.e2e.talk import Talk, Unmet, expect, until
from outboxd.config import program
from outboxd.db.embedded import Embedded

COMMANDS = {"api": "serve", "worker": "work", "worker-2": "work"}
_TAIL = 2000


class Processes:
    """`given`: settings of ours that win over the stage's, as `OUTBOXD_PREPARE` for a pooler."""

    host = listens = "127.0.0.1"

    def __init__(self, dsn: str | None, given: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="outboxd-e2e-"))
        self.folder.chmod(0o711)
        self._embedded = Embedded(self.folder / "data") if dsn is None else None
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = {name: (_free_port(), _free_port()) for name in COMMANDS}
        self.url = f"http://127.0.0.1:{self._ports['api'][0]}"
        self._environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
            **program.inherited(),
            "PYTHONUNBUFFERED": "1",
            "OUTBOXD_DATABASE_URL": self._embedded.start() if self._embedded else dsn or "",
            "OUTBOXD_SECRET_KEYS": f"e2e:{b64encode(os.urandom(32)).decode()}",
            "OUTBOXD_EGRESS_ALLOW": "127.0.0.0/8",
            "OUTBOXD_EGRESS_PORTS": "any",
            "OUTBOXD_EGRESS_HTTP": "on",
            "OUTBOXD_DRAIN_DELAY_S": "0.5",
            "OUTBOXD_WORKER_SLOTS": "20",
            "OUTBOXD_LOG_FORMAT": "json",
            **given,
        }

    def cli(self, *words: str) -> str:
        """What `outboxd <words>` prints. Raises Unmet when it fails."""
        done = self._run(*words)
        expect(done.returncode == 0, f"outboxd {' '.join(words)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def refused(self, **environ: str) -> tuple[int, str]:
        """Exit status and words of an api that is started with these variables besides."""
        done = self._run("serve", OUTBOXD_PORT=str(_free_port()), **environ)
        return done.returncode, done.stderr

    def start(self, *names: str) -> None:
        """Until they are ready."""
        for name in names:
            port, ops = self._ports[name]
            given = {"OUTBOXD_PORT": str(port), "OUTBOXD_METRICS_LISTEN": f"127.0.0.1:{ops}"}
            with self._log(name).open("ab") as log:
                self._children[name] = subprocess.Popen(
                    [sys.executable, "-m", "outboxd", COMMANDS[name]],
                    env=self._environ | given,
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                )
        for name in names:
            probe = Talk(self._ops(name))
            until(f"{name} is ready", lambda probe=probe: probe.status("GET", "/readyz") == 200)  # type: ignore[misc]

    def kill(self, *names: str) -> None:
        """SIGKILL, all at once."""
        for name in names:
            self._children[name].kill()
        for name in names:
            self._children.pop(name).wait()

    def stop(self, name: str, limit: float) -> tuple[int, float]:
        """SIGTERM; exit status, and seconds that it took. Raises Unmet when it stays."""
        child, began = self._children.pop(name), time.monotonic()
        child.send_signal(signal.SIGTERM)
        try:
            status = child.wait(limit)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise Unmet(f"{name} is still there {limit:.0f} s after SIGTERM:\n{self.tail(name)}") from None
        return status, time.monotonic() - began

    def metrics(self, name: str) -> str:
        return str(Talk(self._ops(name)).call("GET", "/metrics")[1])

    def tail(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")[-_TAIL:]

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{self.tail(name)}" for name in COMMANDS if self._log(name).exists())

    def close(self) -> None:
        try:
            for child in self._children.values():
                child.kill()
                child.wait()
        finally:
            if self._embedded is not None:
                self._embedded.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "outboxd", *words],
            env=self._environ | environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def _ops(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name][1]}"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
