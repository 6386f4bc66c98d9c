"""Each way in which an embedded server ends, and what is there afterwards."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from outboxd.db import postmaster
from outboxd.db.embedded import LOG_BYTES
from outboxd.errors import Broken
from tests.db.servers import ROOT, Start, ask, only_root
from tests.waiting import until


def test_data_survive_a_crash_of_the_server(home: Path, start: Start) -> None:
    server = start(home / "data", settings={})
    with psycopg.connect(server.dsn()) as conn:
        conn.execute("create table kept as select 7 as n")

    server.restart_immediate()

    assert ask(server, "select n from kept") == 7


@only_root
def test_a_full_disk_is_said_and_leaves_no_half_of_a_cluster(home: Path, start: Start) -> None:
    small = home / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "none", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a small file system here")
    try:
        with pytest.raises(Broken, match="No space left"):
            start(small / "data")
        assert not list((small / "data").glob("pgdata*"))
    finally:
        subprocess.run(["umount", small], check=True)


def test_it_must_be_started_by_the_main_thread(home: Path, start: Start) -> None:
    failures: list[BaseException] = []

    def elsewhere() -> None:
        try:
            start(home / "data")
        except RuntimeError as failed:
            failures.append(failed)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()

    assert "main thread" in str(failures[0])


def test_the_log_stays_bounded_while_the_server_writes_to_it(home: Path, start: Start) -> None:
    server = start(home / "data")
    with server.log_file.open("ab") as log:
        log.write(b"x" * LOG_BYTES)

    server.trim_log()
    with psycopg.connect(server.dsn()) as conn, contextlib.suppress(psycopg.Error):
        conn.execute("this is not sql")

    assert server.log_file.stat().st_size < LOG_BYTES
    assert b"this is not sql" in server.log_file.read_bytes()[-1000:]


async def test_a_server_that_dies_under_us_is_noticed(home: Path, start: Start) -> None:
    server = start(home / "data")
    status = postmaster.status_of(home / "data" / "pgdata")
    assert status is not None

    os.kill(status.pid, signal.SIGQUIT)

    async with asyncio.timeout(10):
        await server.until_gone()


UP = """
import pathlib, sys, time
from outboxd.db.embedded import Embedded
Embedded(pathlib.Path(sys.argv[1])).start()
print("ready", flush=True)
time.sleep(600)
"""


async def test_after_a_kill_of_ours_the_server_stops_by_itself_and_the_data_are_there(
    home: Path, start: Start
) -> None:
    with _child(home / "data") as child:
        assert child.stdout is not None
        while child.stdout.readline() != b"ready\n":
            pass
        status = postmaster.status_of(home / "data" / "pgdata")
        assert status is not None
        child.send_signal(signal.SIGKILL)
        child.wait()

    if sys.platform == "linux":
        await until(lambda: not Path(f"/proc/{status.pid}").exists())
    server = start(home / "data")
    assert ask(server, "select 1") == 1
    if sys.platform == "linux":
        assert b"was shut down" in server.log_file.read_bytes()  # and not a crash


async def test_killed_during_initdb_the_next_start_works(home: Path, start: Start) -> None:
    with _child(home / "data") as child:
        await until(lambda: bool(list((home / "data").glob("pgdata.new.*/PG_VERSION"))))
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (home / "data" / "pgdata").exists()

    assert ask(start(home / "data"), "select 1") == 1
    assert not list((home / "data").glob("pgdata.new.*"))


def test_a_living_server_that_somebody_left_is_adopted(home: Path, start: Start) -> None:
    first = start(home / "data")
    pid = postmaster.status_of(home / "data" / "pgdata")
    assert first._lock is not None
    os.close(first._lock)  # as when its daemon was killed where no death signal exists
    first._lock = None

    second = start(home / "data")

    assert postmaster.status_of(home / "data" / "pgdata") == pid
    assert ask(second, "select 1") == 1
    second.stop()
    assert not first.alive()


@contextlib.contextmanager
def _child(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", UP, data], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
