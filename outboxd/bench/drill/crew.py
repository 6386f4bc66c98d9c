"""The processes under test: started, killed, frozen, started again."""

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from outboxd.bench.drill.world import BEAT, World

_READY = 20.0


class Member:
    """One process of a role, on the same port and with the same environment each time it is started."""

    def __init__(self, world: World, name: str, command: Sequence[str], listen_url: str) -> None:
        self.name, self.port = name, _free_port()
        self._command = [sys.executable, "-m", "outboxd", *command]
        self._file = world.ledger.parent / f"{name}.log"
        self._log = self._file.open("ab")
        self._environ = {
            "OUTBOXD_DATABASE_URL": world.dsn,
            "OUTBOXD_LISTEN_URL": listen_url,
            "OUTBOXD_SECRET_KEYS": world.secret_key,
            "OUTBOXD_EGRESS_ALLOW": "127.0.0.0/8",
            "OUTBOXD_BEAT_S": f"{BEAT:g}",
            "OUTBOXD_PORT": str(self.port),
            "OUTBOXD_DRAIN_DELAY_S": "0",
            "OUTBOXD_GENERATION": "off",
            "OUTBOXD_LOG_FORMAT": "json",
        }
        self._process = self._started()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process = self._started()

    def alive(self) -> bool:
        return self._process.poll() is None

    def ready(self) -> bool:
        """Whether it has said so since it was started."""
        with self._file.open("rb") as log:
            log.seek(self._begun_at)
            return b'"ready"' in log.read()

    def signal(self, number: signal.Signals) -> None:
        if self.alive():
            self._process.send_signal(number)

    def wait(self, seconds: float) -> int | None:
        """Its exit status; killed when it does not come."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None

    def close(self) -> None:
        """For the end of a drill, however it ends."""
        if self.alive():
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _started(self) -> subprocess.Popen[bytes]:
        self._begun_at = self._file.stat().st_size
        return subprocess.Popen(self._command, env=self._environ, stdout=self._log, stderr=self._log)


class Crew:
    """Two api processes and three workers, the way they are deployed."""

    def __init__(self, world: World, listen_url: str) -> None:
        work = ["work", "--app", "outboxd.bench.drill.tasks:app", "--slots", "20"]
        self.apis = [Member(world, f"api-{n}", ["serve"], listen_url) for n in range(2)]
        self.workers = [Member(world, f"work-{n}", work, listen_url) for n in range(3)]

    @property
    def members(self) -> list[Member]:
        return [*self.apis, *self.workers]

    def ports(self) -> list[int]:
        return [member.port for member in self.apis]

    def until_ready(self) -> None:
        """Waits until every process says so. Raises when one does not come up, though nothing is broken."""
        missing = [member.name for member in self.members if not self._comes_up(member)]
        if missing:
            raise RuntimeError(f"{', '.join(missing)} did not come up")

    def revive(self) -> None:
        """What a supervisor does: starts what has ended."""
        for member in self.members:
            if not member.alive():
                member.start()

    def pick(self, choice: random.Random) -> Member:
        return choice.choice([member for member in self.members if member.alive()] or self.members)

    def stop(self) -> dict[str, int | None]:
        """SIGTERM to all; exit statuses by name. None: had to be killed.

        One that was revived a moment ago has no signal handlers yet, so each must be ready first.
        """
        for member in self.members:
            member.signal(signal.SIGCONT)
            self._comes_up(member)
        for member in self.members:
            member.signal(signal.SIGTERM)
        return {member.name: member.wait(45) for member in self.members}

    def close(self) -> None:
        for member in self.members:
            member.close()

    def _comes_up(self, member: Member) -> bool:
        deadline = time.monotonic() + _READY
        while not member.ready():
            if time.monotonic() > deadline or not member.alive():
                return False
            time.sleep(0.05)
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
