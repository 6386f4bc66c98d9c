"""The processes under test: started, killed, frozen, started again."""

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from outboxd.bench.drill.wires import Wire, Wires
from outboxd.bench.drill.world import BEAT, World
from outboxd.config import program

_READY = 40.0
_REVIVED_WITHIN = 0.3
_FAKETIME = "lib/*/faketime/libfaketimeMT.so.1"
_SHARED = Path("/dev/shm")  # noqa: S108  where that library keeps its own files
WORK = ("work", "--app", "outboxd.bench.drill.tasks:app", "--slots", "20")


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How a daemon is started, where not as this release beside its database."""

    dsn: str | None = None
    """Of a pooler, say. None: the world's."""
    listens: bool = True
    """Whether it is given a direct connection for LISTEN."""
    tree: Path | None = None
    """The source tree of another release."""
    environ: dict[str, str] = {}


HERE = Way()


class Member:
    """One process of a role, on the same port and with the same environment each time it is started."""

    def __init__(
        self,
        world: World,
        name: str,
        command: Sequence[str],
        wire: Wire | None = None,
        ear: Wire | None = None,
        way: Way = HERE,
    ) -> None:
        """`wire` is before its pool, `ear` before its LISTEN connection."""
        self.name, self.port, self.wire, self.ear = name, _free_port(), wire, ear
        self.skew = 0.0
        """Seconds by which its clock is wrong from its next start on."""
        self._command = [sys.executable, "-m", "outboxd", *command]
        self._file = world.ledger.parent / f"{name}.log"
        self._log = self._file.open("ab")
        self._environ = {
            **program.inherited(),
            "OUTBOXD_DATABASE_URL": wire.dsn if wire else world.dsn,
            "OUTBOXD_SECRET_KEYS": world.secret_key,
            "OUTBOXD_EGRESS_ALLOW": "127.0.0.0/8",
            "OUTBOXD_BEAT_S": f"{BEAT:g}",
            "OUTBOXD_NET_TIMEOUT_S": "4",
            "OUTBOXD_PORT": str(self.port),
            "OUTBOXD_DRAIN_DELAY_S": "0",
            "OUTBOXD_GENERATION": "off",
            "OUTBOXD_LOG_FORMAT": "json",
            **way.environ,
        }
        if way.listens:
            self._environ["OUTBOXD_LISTEN_URL"] = ear.dsn if ear else world.dsn
        if way.tree is not None:
            self._environ["PYTHONPATH"] = str(way.tree)
        self._folder = way.tree
        self._process = self._started()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        forget_clock(self.pid)
        self._process = self._started()

    def alive(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        """All that it ever said."""
        return self._file.read_text()

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
        forget_clock(self.pid)
        self._log.close()

    def _started(self) -> subprocess.Popen[bytes]:
        self._begun_at = self._file.stat().st_size
        environ = self._environ | _wrong_by(self.skew)
        return subprocess.Popen(
            self._command, env=environ, stdout=self._log, stderr=self._log, cwd=self._folder
        )


class Crew:
    """Two api processes and three workers, the way they are deployed."""

    def __init__(self, world: World, wires: Wires, way: Way, *, apis: int, workers: int) -> None:
        self._world, self._wires = world, wires
        self.apis: list[Member] = []
        self.workers: list[Member] = []
        self.join(way, apis=apis, workers=workers)
        self._leaving = threading.Event()
        self._supervisor = threading.Thread(target=self._revive, daemon=True)

    @property
    def members(self) -> list[Member]:
        return [*self.apis, *self.workers]

    def join(self, way: Way, *, apis: int, workers: int) -> list[Member]:
        """So many more, started that way."""
        fresh = [self._member(way, f"api-{len(self.apis) + n}", "serve") for n in range(apis)]
        self.apis += fresh
        hands = [self._member(way, f"work-{len(self.workers) + n}", *WORK) for n in range(workers)]
        self.workers += hands
        return fresh + hands

    def ports(self) -> list[int]:
        return [member.port for member in self.apis]

    def until_ready(self) -> None:
        """Waits until every process says so. Raises when one does not come up, though nothing is broken."""
        missing = [member.name for member in self.members if not self._comes_up(member)]
        if missing:
            raise RuntimeError(f"{', '.join(missing)} did not come up")

    def supervise(self) -> None:
        """From now on what has ended is started again, whatever anybody waits for."""
        self._supervisor.start()

    def _revive(self) -> None:
        while not self._leaving.wait(_REVIVED_WITHIN):
            for member in self.members:
                if not member.alive():
                    member.start()

    def pick(self, choice: random.Random) -> Member:
        return choice.choice([member for member in self.members if member.alive()] or self.members)

    def stop(self) -> dict[str, int | None]:
        """SIGTERM to all; exit statuses by name. None: had to be killed.

        One that was revived a moment ago has no signal handlers yet, so each must be ready first.
        """
        self._dismiss()
        for member in self.members:
            member.signal(signal.SIGCONT)
            self._comes_up(member)
        for member in self.members:
            member.signal(signal.SIGTERM)
        return {member.name: member.wait(45) for member in self.members}

    def close(self) -> None:
        self._dismiss()
        for member in self.members:
            member.close()

    def _member(self, way: Way, name: str, *command: str) -> Member:
        pool = self._wires.wire(f"{name}-pool", way.dsn or self._world.dsn)
        return Member(self._world, name, command, pool, self._wires.wire(f"{name}-ear", self._world.dsn), way)

    def _dismiss(self) -> None:
        self._leaving.set()
        if self._supervisor.is_alive():
            self._supervisor.join()

    def _comes_up(self, member: Member) -> bool:
        deadline = time.monotonic() + _READY
        while not member.ready():
            if time.monotonic() > deadline or not member.alive():
                return False
            time.sleep(0.05)
        return True


def clock_library() -> Path | None:
    """What makes a process believe in another time, where it is installed."""
    return next(iter(sorted(Path("/usr").glob(_FAKETIME))), None)


def forget_clock(pid: int) -> None:
    """What libfaketime leaves in shared memory of a process that was killed."""
    for left in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        (_SHARED / left).unlink(missing_ok=True)


def _wrong_by(skew: float) -> dict[str, str]:
    library = clock_library() if skew else None
    if library is None:
        return {}
    # Only the calendar is wrong: what measures how long something takes goes on being right.
    straight = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{skew:+.1f}s", **straight}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
