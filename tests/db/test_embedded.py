"""Each way in which an embedded server starts, refuses to, and ends."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from outboxd.db import binaries, postmaster
from outboxd.db.embedded import LOG_BYTES, Embedded
from outboxd.errors import Broken, ConfigError, InUse
from tests.cluster import folder_for_clusters
from tests.waiting import until

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
# Only fsync: everything else as in production.
QUICK = {"fsync": "off"}

only_root = pytest.mark.skipif(not AS_ROOT, reason="needs root: the drop to another account is tried")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that any account may pass, with a short name: the socket's path must be short."""
    made = folder_for_clusters() / f"ob-{os.getpid()}-{time.monotonic_ns() % 10**6}"
    made.mkdir(mode=0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start() -> Iterator[Callable[..., Embedded]]:
    """Starts servers and stops them afterwards."""
    started: list[Embedded] = []

    def go(data: Path, **more: object) -> Embedded:
        server = Embedded(data, **({"settings": QUICK} | more))  # type: ignore[arg-type]
        started.append(server)
        server.start()
        return server

    yield go
    for server in started:
        server.stop()


Start = Callable[..., Embedded]


def _ask(server: Embedded, question: str) -> object:
    with psycopg.connect(server.dsn()) as conn:
        row = conn.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]


def test_a_fresh_start_makes_what_the_page_says(home: Path, start: Start) -> None:
    server = start(home / "data", settings={})

    assert _ask(server, "show data_checksums") == "on"
    assert _ask(server, "show fsync") == "on"
    assert _ask(server, "show listen_addresses") == ""
    assert _ask(server, "show server_encoding") == "UTF8"
    assert _ask(server, "select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'") == 0
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (home / "data").iterdir()}
    assert modes == {
        "pgdata": 0o700,
        "run": 0o700,
        "password": 0o600,
        "postgres.log": 0o600,
        "outboxd.lock": 0o600,
    }
    assert stat.S_IMODE((home / "data").stat().st_mode) == (0o711 if AS_ROOT else 0o700)


def test_a_second_start_finds_its_data(home: Path, start: Start) -> None:
    first = start(home / "data")
    with psycopg.connect(first.dsn()) as conn:
        conn.execute("create table kept as select 7 as n")
    first.stop()

    assert _ask(start(home / "data"), "select n from kept") == 7


def test_data_survive_a_crash_of_the_server(home: Path, start: Start) -> None:
    server = start(home / "data", settings={})
    with psycopg.connect(server.dsn()) as conn:
        conn.execute("create table kept as select 7 as n")

    server.restart_immediate()

    assert _ask(server, "select n from kept") == 7


@only_root
def test_as_root_the_server_is_another_account_without_our_groups(home: Path, start: Start) -> None:
    server = start(home / "data", user="nobody")
    pid = postmaster.status_of(home / "data" / "pgdata")
    assert pid is not None

    said = Path(f"/proc/{pid.pid}/status").read_text()
    nobody = pwd.getpwnam("nobody")
    fields = dict(line.split(":", 1) for line in said.splitlines())
    assert fields["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert fields["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert fields["Groups"].split() == []
    assert server.alive()


@only_root
def test_an_unknown_account_and_root_itself_are_refused(home: Path, start: Start) -> None:
    for name in ("nobody-has-this-name", "root"):
        with pytest.raises(ConfigError, match="OUTBOXD_PG_USER"):
            start(home / "data", user=name)


@only_root
def test_as_a_user_it_needs_no_other_account(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)

    # A fork and not a new interpreter: nobody may not be able to reach that one.
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        os._exit(_starts_and_stops(home / "data"))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert (home / "data").stat().st_uid == nobody.pw_uid
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700


def _starts_and_stops(data: Path) -> int:
    try:
        server = Embedded(data, settings=QUICK)
        server.start()
        server.stop()
    except BaseException as failed:  # noqa: BLE001  a forked child has nobody above it
        print(repr(failed))
        return 1
    return 0


@only_root
def test_programs_that_the_account_cannot_reach_are_copied_with_their_libraries(
    home: Path, start: Start
) -> None:
    theirs = binaries.found()[0].folder.parent
    hidden = home / "hidden" / "venv" / theirs.parent.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(theirs / part, hidden / theirs.name / part, symlinks=True)
    libs = theirs.parent.with_name(theirs.parent.name + ".libs")
    if libs.is_dir():
        shutil.copytree(libs, hidden.with_name(libs.name))
    (home / "hidden").chmod(0o700)

    server = start(home / "data", programs=hidden / theirs.name / "bin")

    assert _ask(server, "select 1") == 1
    assert stat.S_IMODE((home / "hidden").stat().st_mode) == 0o700
    server.stop()
    assert _ask(start(home / "data", programs=hidden / theirs.name / "bin"), "select 1") == 1


@only_root
def test_a_data_directory_the_account_cannot_reach_is_refused_naming_what_blocks(
    home: Path, start: Start
) -> None:
    blocking = home / "private"
    blocking.mkdir(mode=0o700)

    with pytest.raises(ConfigError, match=f"cannot pass {blocking}:"):
        start(blocking / "deep" / "data")

    assert stat.S_IMODE(blocking.stat().st_mode) == 0o700


def test_a_long_path_puts_the_socket_elsewhere(home: Path, start: Start) -> None:
    server = start(home / ("long" * 30) / "data")
    assert _ask(server, "select 1") == 1
    where = Path(str(_ask(server, "show unix_socket_directories")).strip('"'))

    assert where.name.startswith("outboxd-")
    assert stat.S_IMODE(where.stat().st_mode) == 0o700
    server.stop()
    assert not where.exists()


def test_data_of_another_major_version_is_refused_naming_both(home: Path, start: Start) -> None:
    start(home / "data").stop()
    (home / "data" / "pgdata" / "PG_VERSION").write_text("9\n")

    with pytest.raises(ConfigError, match=r"PostgreSQL 9, found are the programs of \d+.*pg_dump"):
        start(home / "data")


def test_data_decide_among_the_programs_of_several_versions(home: Path, start: Start) -> None:
    majors = {one.major: one for one in binaries.found()}
    if len(majors) < 2:
        pytest.skip("needs programs of two major versions, found " + str(sorted(majors)))
    other = majors[min(majors)]
    start(home / "data", programs=other.folder).stop()

    assert str(_ask(start(home / "data"), "show server_version")).startswith(str(other.major))


@pytest.mark.parametrize("inside", ["", "pgdata"])
def test_a_directory_of_somebody_else_is_never_touched(home: Path, start: Start, inside: str) -> None:
    if inside:
        start(home / "data").stop()
        shutil.rmtree(home / "data" / "pgdata")
    place = home / "data" / inside
    place.mkdir(parents=True, exist_ok=True)
    (place / "thesis.tex").write_text("years of work")
    place.chmod(0o750)

    with pytest.raises(ConfigError, match="not empty and not"):
        start(home / "data")

    assert [p.name for p in place.iterdir()] == ["thesis.tex"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o750


def test_a_second_one_on_the_same_data_is_told_who_has_it(home: Path, start: Start) -> None:
    start(home / "data")

    with pytest.raises(InUse, match=f"process {os.getpid()}"):
        start(home / "data")


def test_without_any_server_the_ways_out_are_said() -> None:
    with pytest.raises(ConfigError, match=r"no PostgreSQL server found: set OUTBOXD_DATABASE_URL"):
        binaries.choose([], None)


def test_programs_that_are_named_and_not_there_are_an_error(home: Path, start: Start) -> None:
    with pytest.raises(ConfigError, match="OUTBOXD_PG_BIN"):
        start(home / "data", programs=home)


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
    assert _ask(server, "select 1") == 1
    if sys.platform == "linux":
        assert b"was shut down" in server.log_file.read_bytes()  # and not a crash


async def test_killed_during_initdb_the_next_start_works(home: Path, start: Start) -> None:
    with _child(home / "data") as child:
        await until(lambda: bool(list((home / "data").glob("pgdata.new.*/PG_VERSION"))))
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (home / "data" / "pgdata").exists()

    assert _ask(start(home / "data"), "select 1") == 1
    assert not list((home / "data").glob("pgdata.new.*"))


def test_a_living_server_that_somebody_left_is_adopted(home: Path, start: Start) -> None:
    first = start(home / "data")
    pid = postmaster.status_of(home / "data" / "pgdata")
    assert first._lock is not None
    os.close(first._lock)  # as when its daemon was killed where no death signal exists
    first._lock = None

    second = start(home / "data")

    assert postmaster.status_of(home / "data" / "pgdata") == pid
    assert _ask(second, "select 1") == 1
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
