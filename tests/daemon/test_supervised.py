"""What systemd hears, on a datagram socket as it has one."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from outboxd.config.supervisor import Supervisor, supervisor
from outboxd.daemon.readiness import Readiness
from outboxd.daemon.supervised import Supervised
from outboxd.db.pool import Database
from tests.daemon.daemons import ROOT, Place, free_port

LIMIT = 20.0
WATCHDOG = timedelta(milliseconds=300)


class Systemd:
    """Hears; `until` reads on until a line was said."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._socket.settimeout(LIMIT)
        self.heard: list[str] = []

    def until(self, said: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            lines = self._socket.recv(4096).decode().splitlines()
            self.heard += lines
            found = [line for line in lines if said(line)]
            if found:
                return found[0]
        raise AssertionError(f"heard only {self.heard}")

    def drain(self) -> list[str]:
        """Everything that is there now."""
        self._socket.setblocking(False)
        said: list[str] = []
        try:
            while True:
                said += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return said
        finally:
            self._socket.settimeout(LIMIT)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def process(empty_place: Place, systemd: Systemd) -> Iterator[subprocess.Popen[bytes]]:
    """Both roles in one process, on a database that has no schema yet."""
    given = {
        "NOTIFY_SOCKET": systemd.name,
        "WATCHDOG_USEC": str(WATCHDOG // timedelta(microseconds=1)),
        "PORT": str(free_port()),
        "OUTBOXD_DATABASE_URL": empty_place.dsn,
        "OUTBOXD_SECRET_KEYS": f"test:{b64encode(bytes(32)).decode()}",
        "OUTBOXD_ROLES": "api,work",
        "OUTBOXD_GENERATION": "off",
        "OUTBOXD_DRAIN_DELAY_S": "0.5",
    }
    log = (empty_place.folder / "supervised.log").open("wb")
    with (
        log,
        subprocess.Popen([sys.executable, "-m", "outboxd", "serve"], cwd=ROOT, env=given, stderr=log) as made,
    ):
        yield made
        made.kill()


def test_ready_is_said_once_it_is_true_then_load_and_life_then_the_drain(
    process: subprocess.Popen[bytes], systemd: Systemd, empty_place: Place
) -> None:
    systemd.until(lambda line: line.startswith("STATUS=waiting: ") and "schema" in line)
    systemd.until(lambda line: line == "EXTEND_TIMEOUT_USEC=30000000")
    assert "READY=1" not in systemd.heard
    assert 0 == empty_place.start("migrate").gone(30)
    systemd.until(lambda line: line == "READY=1")
    systemd.until(lambda line: line == "WATCHDOG=1")
    told = systemd.until(lambda line: line.startswith("STATUS="))
    assert "STATUS=api: 0 requests, 0 streams; work: 0 jobs running" == told
    process.send_signal(signal.SIGTERM)
    systemd.until(lambda line: line == "STOPPING=1")
    assert 0 == process.wait(LIMIT)
    rest = [*systemd.heard, *systemd.drain()]
    assert (1, 1) == (rest.count("READY=1"), rest.count("STOPPING=1"))
    assert "STATUS=draining" == [line for line in rest if line.startswith("STATUS=")][-1]


@pytest.mark.parametrize("beats", [True, False])
async def test_the_watchdog_hears_nothing_once_the_beat_is_broken(
    db: Database, systemd: Systemd, beats: bool
) -> None:
    ready = Readiness(db, {}, provider="offline")
    ready.booted = True
    told = Supervised(Supervisor(socket=systemd.name, watchdog=WATCHDOG), ("work",), lambda: beats)
    running = asyncio.create_task(told.run(ready))
    while len([line for line in systemd.heard if line.startswith("STATUS=work")]) < 3:
        await asyncio.sleep(0.02)
        systemd.heard += systemd.drain()
    running.cancel()
    assert beats == ("WATCHDOG=1" in systemd.heard)


async def test_ready_is_said_again_until_there_is_room_for_it(db: Database, systemd: Systemd) -> None:
    ready = Readiness(db, {}, provider="offline")
    ready.booted = True
    told = Supervised(Supervisor(socket=systemd.name), ("work",), lambda: True)
    while told.tell("STATUS=full"):
        pass
    running = asyncio.create_task(told.run(ready))
    await asyncio.sleep(0.3)  # at least one try
    while "READY=1" not in systemd.heard:
        systemd.heard += systemd.drain()
        await asyncio.sleep(0.02)
    running.cancel()


def test_an_abstract_socket_is_found() -> None:
    systemd = Systemd(f"@outboxd-test-{os.getpid()}")
    Supervised(Supervisor(socket=systemd.name), ("api",), lambda: True).tell("READY=1")
    assert ["READY=1"] == systemd.drain()
    systemd.close()


def test_a_supervisor_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    Supervised(Supervisor(socket=str(tmp_path / "nobody")), ("api",), lambda: True).stopping()


@pytest.mark.parametrize(
    ("environ", "heard"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, None),
        ({"NOTIFY_SOCKET": "/run/n"}, Supervisor(socket="/run/n")),
        (
            {"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "30000000"},
            Supervisor(socket="@n", watchdog=timedelta(seconds=30)),
        ),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, Supervisor(socket="@n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "0"}, Supervisor(socket="@n")),
    ],
)
def test_who_listens_is_read_from_the_environment(environ: dict[str, str], heard: Supervisor | None) -> None:
    assert heard == supervisor(environ)
