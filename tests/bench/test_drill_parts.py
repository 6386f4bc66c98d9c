"""The tools of the drill: wires that break as told, a database of its own, bounds that can be missed."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
import pytest

from outboxd.bench import scaling
from outboxd.bench.drain import Did
from outboxd.bench.drill import faults, soak
from outboxd.bench.drill import world as worlds
from outboxd.bench.drill.gauges import Sample
from outboxd.bench.drill.room import Room
from outboxd.bench.drill.wires import Wires
from outboxd.bench.ground import NotMeasuredError
from tests.conftest import CrashServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires()
    yield made
    made.close()


def test_a_commit_that_is_cut_has_happened_and_nobody_was_told(wires: Wires, empty_dsn: str) -> None:
    wire = wires.wire("pool", empty_dsn)
    with psycopg.connect(wire.dsn) as conn:
        conn.execute("create table t (i int)")
        wire.cutting = True
        with pytest.raises(psycopg.OperationalError):
            conn.commit()
    assert 1 == wire.cut
    with psycopg.connect(wire.dsn) as again:
        assert (0,) == again.execute("select count(*) from t").fetchone()


def test_a_wire_that_swallows_leaves_both_ends_waiting_and_is_reset_when_healed(
    wires: Wires, empty_dsn: str
) -> None:
    wire = wires.wire("pool", empty_dsn)
    conn = psycopg.connect(wire.dsn, autocommit=True)
    with closing(conn), ThreadPoolExecutor() as asker:
        wire.swallowing = True
        asked = asker.submit(conn.execute, "select 1")
        while not any(link.spoiled for link in wire.links):
            time.sleep(0.01)
        assert not asked.done()
        wires.heal()
        with pytest.raises(psycopg.OperationalError):
            asked.result(5)


def test_hints_that_are_dropped_do_not_come_and_everything_else_does(wires: Wires, empty_dsn: str) -> None:
    wire = wires.wire("ear", empty_dsn)
    with (
        psycopg.connect(wire.dsn, autocommit=True) as ear,
        psycopg.connect(empty_dsn, autocommit=True) as mouth,
    ):
        ear.execute("listen told")
        wire.dropping = 1.0
        mouth.execute("notify told, 'lost'")
        assert (1,) == ear.execute("select 1").fetchone()
        assert [] == [note.payload for note in ear.notifies(timeout=0.3)]
        wires.heal()
        mouth.execute("notify told, 'heard'")
        assert ["heard"] == [note.payload for note in ear.notifies(timeout=5, stop_after=1)]


def test_a_database_without_its_marker_is_not_touched(empty_dsn: str, tmp_path: Path) -> None:
    world = asyncio.run(worlds.build(empty_dsn, tmp_path / "ledger"))
    with world.connect() as conn:
        conn.execute("update drill.marker set token = 'somebody else'")
    with pytest.raises(RuntimeError, match="not the drill's own"):
        world.connect()


def test_what_reaches_beyond_the_database_is_left_out_on_a_server_of_somebodys() -> None:
    left_out = faults.unable(faults.chosen(()), own=False, standby=False, disk=None)
    assert {"restart", "disk", "failover"} <= set(left_out)
    assert left_out["restart"] == "not on a server that is not the drill's own"
    assert "kill" not in left_out


def test_groups_and_names_choose_faults() -> None:
    assert ["kill", "freeze", "term", "step"] == [f.name for f in faults.chosen({"processes", "step"})]
    assert faults.chosen(()) == list(faults.FAULTS)


def test_a_small_file_system_that_is_refused_says_why(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may mount")
    room = Room(tmp_path / "wal")
    assert not room.open()
    assert "refused" in (room.refused or "")


@pytest.mark.parametrize(
    ("words", "environ", "status", "said"),
    [
        (["--faults", "rain"], {}, 2, "unknown; there are processes"),
        (["--server"], {}, 2, "--server needs OUTBOXD_DATABASE_URL"),
        (["--server"], {"OUTBOXD_DATABASE_URL": "postgresql://u:p@db.example/x"}, 2, "--i-own-this-server"),
        (["--server"], {"OUTBOXD_DATABASE_URL": "postgresql://u:p@127.0.0.1:9/x"}, 3, "cannot be reached"),
    ],
)
def test_a_drill_is_refused(words: list[str], environ: dict[str, str], status: int, said: str) -> None:
    done = drill(*words, environ=environ)
    assert (status, True) == (done.returncode, said in done.stderr), done.stderr


def test_a_server_that_does_not_keep_what_it_says_is_refused(dsn: str) -> None:
    done = drill("--server", environ={"OUTBOXD_DATABASE_URL": dsn})
    assert (2, True) == (done.returncode, "fsync is off" in done.stderr), done.stderr


@pytest.mark.drill
@pytest.mark.nightly
def test_on_a_server_of_yours_only_a_database_of_its_own_is_broken_and_nothing_stays(
    crash_server: CrashServer,
) -> None:
    environ = {"OUTBOXD_DATABASE_URL": crash_server.dsn}
    done = drill("--server", "--seconds", "8", "--faults", "kill,backends,server", environ=environ)
    assert (0, True) == (done.returncode, "not done: restart" in done.stderr), done.stdout + done.stderr
    with psycopg.connect(crash_server.dsn) as conn:
        left = conn.execute("select count(*) from pg_database where datname like 'outboxd_drill_%'")
        assert (0,) == left.fetchone()


@pytest.mark.drill
@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_a_short_soak_holds() -> None:
    done = drill("--soak", "--seconds", "60", "--rate", "60", limit=250)
    assert 0 == done.returncode, done.stdout + done.stderr


STEADY = Sample(
    at=0, rss={"api-0": 60 * 2**20}, descriptors=30, ready_bytes=2**20, dead_rows=5000, wal_bytes=0, ended=0,
    connections=20, due=5, p99_ms=20,
)  # fmt: skip
SECONDS = 2000


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ({}, None),
        ({"rss": {"api-0": 75 * 2**20}}, "api-0 grew, MiB"),
        ({"ready_bytes": 65 * 2**20}, "ready, MiB"),
        ({"dead_rows": 300_000}, "dead rows, most"),
        ({"p99_ms": 40}, "p99, last to first"),
        ({"descriptors": 60}, "descriptors more"),
        ({"connections": 40}, "connections more"),
    ],
)
def test_a_soak_sees_what_grows(what: dict[str, object], name: str | None) -> None:
    """In its second half."""
    samples = [
        msgspec.structs.replace(
            STEADY, at=at, wal_bytes=1000 * at, ended=at, **(what if at > SECONDS / 2 else {})
        )
        for at in range(10, SECONDS, 10)
    ]
    missed = [bound.name for bound in soak.bounds(samples, SECONDS) if not bound.held]
    assert ([] if name is None else [name]) == missed


def test_a_soak_sees_jobs_that_cost_more_and_more() -> None:
    samples = [
        msgspec.structs.replace(STEADY, at=at, wal_bytes=at * at, ended=at) for at in range(10, SECONDS, 10)
    ]
    assert ["WAL a job, last to first"] == [
        bound.name for bound in soak.bounds(samples, SECONDS) if not bound.held
    ]


def test_scaling_that_lost_or_doubled_a_job_is_not_measured(dsn: str) -> None:
    with pytest.raises(NotMeasuredError, match="of 3 jobs 3 ran, 0 ended"):
        scaling._once(dsn, [Did(jobs=1), Did(jobs=2)], 3)


def drill(
    *words: str, environ: dict[str, str] | None = None, limit: float = 120
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "outboxd", "drill", *words],
        cwd=ROOT, env={"PATH": os.environ["PATH"], **(environ or {})}, capture_output=True, text=True,
        check=False, timeout=limit,
    )  # fmt: skip
