"""The stage of containers: deploy/compose.yaml as it is, with secrets made for this run, and then removed."""

import json
import os
import subprocess
import tempfile
import time
from base64 import b64encode
from pathlib import Path
from shutil import rmtree

from deploy.e2e.talk import Talk, Unmet, expect, until

FILE = Path(__file__).resolve().parents[1] / "compose.yaml"
SERVICES = {"api": ("serve", 1), "worker": ("work", 1), "worker-2": ("work", 2)}
"""Process → service, and which of its containers."""
_ASK = (
    "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8378{path}', timeout=5).read().decode())"
)
_NAME = "outboxd-e2e"


class Compose:
    """`given`, the override, is what only this run needs: webhooks may go to the machine that drives it."""

    url = "http://127.0.0.1:8377"
    host, listens = "host.docker.internal", "0.0.0.0"  # noqa: S104  containers come from another network

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="outboxd-e2e-"))
        password = os.urandom(24).hex()
        made = {
            "postgres_password": password,
            "database_url": f"postgresql://outboxd:{password}@postgres:5432/outboxd",
            "secret_keys": f"e2e:{b64encode(os.urandom(32)).decode()}",
        }
        for name, text in made.items():
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o444)
        override = self.folder / "override.yaml"
        override.write_text(json.dumps(self._override(made)))
        self._compose = ["docker", "compose", "-p", _NAME, "-f", str(FILE), "-f", str(override)]
        self._docker("up", "--detach", "--build", "--wait", "postgres")

    def cli(self, *words: str) -> str:
        return self._docker("run", "--rm", "--no-deps", "--no-TTY", "migrate", *words)

    def refused(self, **environ: str) -> tuple[int, str]:
        given = [word for name, text in environ.items() for word in ("--env", f"{name}={text}")]
        done = self._run("run", "--rm", "--no-deps", "--no-TTY", *given, "serve")
        return done.returncode, done.stderr

    def start(self, *names: str) -> None:
        most = {service: 0 for service, _ in SERVICES.values()}
        for name in names:
            service, index = SERVICES[name]
            most[service] = max(most[service], index)
        for service, count in most.items():
            if count:
                asked = ("--detach", "--no-recreate", "--no-deps", "--scale", f"{service}={count}")
                self._docker("up", *asked, service)
        if "api" in names:
            until("the api is ready", lambda: Talk(self.url).status("GET", "/readyz") == 200)
        for name in names:
            if name != "api":
                until(f"{name} is ready", lambda name=name: self._answers(name))  # type: ignore[misc]

    def kill(self, *names: str) -> None:
        subprocess.run(["docker", "kill", *map(self._container, names)], check=True, capture_output=True)

    def stop(self, name: str, limit: float) -> tuple[int, float]:
        container, began = self._container(name), time.monotonic()
        subprocess.run(
            ["docker", "stop", "--time", f"{limit:.0f}", container], check=True, capture_output=True
        )
        asked = ["docker", "inspect", "--format", "{{.State.ExitCode}}", container]
        said = subprocess.run(asked, check=True, capture_output=True, text=True)
        return int(said.stdout), time.monotonic() - began

    def metrics(self, name: str) -> str:
        return self._asked(name, "/metrics")

    def logs(self) -> str:
        return self._run("logs", "--tail", "20").stdout

    def close(self) -> None:
        self._run("down", "--volumes", "--remove-orphans", "--timeout", "5")
        rmtree(self.folder, ignore_errors=True)

    def _override(self, secrets: dict[str, str]) -> dict[str, object]:
        settings = {
            "OUTBOXD_EGRESS_ALLOW": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16",
            "OUTBOXD_EGRESS_PORTS": "any",
            "OUTBOXD_EGRESS_HTTP": "on",
            "OUTBOXD_WORKER_SLOTS": "20",
        }
        extra = {"environment": settings, "extra_hosts": {"host.docker.internal": "host-gateway"}}
        return {
            "services": dict.fromkeys(("migrate", "serve", "work"), extra),
            "secrets": {name: {"file": str(self.folder / name)} for name in secrets},
        }

    def _container(self, name: str) -> str:
        service, index = SERVICES[name]
        return f"{_NAME}-{service}-{index}"

    def _asked(self, name: str, path: str) -> str:
        service, index = SERVICES[name]
        words = ("--no-TTY", f"--index={index}", service, "python", "-c", _ASK.format(path=path))
        return self._docker("exec", *words)

    def _answers(self, name: str) -> bool:
        try:
            return "unready" not in self._asked(name, "/readyz")
        except Unmet:
            return False

    def _docker(self, *words: str) -> str:
        done = self._run(*words)
        expect(done.returncode == 0, f"docker compose {' '.join(words)}: {done.stderr}")
        return done.stdout

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run([*self._compose, *words], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise SystemExit("error: there is no docker here; --stage processes needs none") from None
