"""A rolling upgrade under load: the release before on the new schema, both beside each other, and back.

    old schema   old daemons work      a new one says what it waits for
        │ migrate, under load
    new schema   old and new daemons work, are killed, and come again: new ones beside old, old ones anew

OUTBOXD_TEST_PREVIOUS names the git revision of the release before.
"""

import asyncio
import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from outboxd.bench.drill import faults
from outboxd.bench.drill import world as worlds
from outboxd.bench.drill.crew import HERE, Crew, Member, Way
from outboxd.bench.drill.pair import Pair
from outboxd.bench.drill.run import Plan, run
from outboxd.bench.drill.stage import folder
from outboxd.bench.drill.world import World
from outboxd.db import migrate

proves = pytest.mark.proves
pytestmark = [pytest.mark.drill, pytest.mark.nightly, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
PREVIOUS = os.environ.get("OUTBOXD_TEST_PREVIOUS", "b86632e")
WITHIN = 60.0


@pytest.fixture
def before(tmp_path: Path) -> Way:
    """The release before, as a tree of sources; started with today's libraries."""
    try:
        done = subprocess.run(
            ["git", "archive", PREVIOUS, "outboxd", "sql"], cwd=ROOT, capture_output=True, check=False
        )
    except OSError:
        pytest.skip("there is no git to fetch the release before with")
    if done.returncode:
        pytest.skip(f"the history here does not reach back to {PREVIOUS}: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(tmp_path / "before", filter="data")
    return Way(tree=tmp_path / "before")


@pytest.fixture
def world(before: Way) -> Iterator[World]:
    """A durable database with the schema of the release before."""
    with folder(keep=False, tell=print) as here:
        pair = Pair(here, standby=False)
        try:
            pair.start()
            assert before.tree is not None
            migrated_by(before.tree, pair.dsn)
            yield asyncio.run(worlds.build(pair.dsn, here / "ledger", pair, migrated=True))
        finally:
            pair.stop()


@proves("G11", "G1")
def test_the_release_before_and_this_one_share_a_database_under_load(world: World, before: Way) -> None:
    waited: list[str] = []

    def upgrade(crew: Crew) -> None:
        fresh = crew.join(HERE, apis=1, workers=1)
        until(lambda: all("schema" in line for line in map(waiting, fresh)))
        waited.extend(map(waiting, fresh))
        began = time.monotonic()
        asyncio.run(migrate.migrate(make_conninfo(world.dsn)))
        print(f"migrated under load in {time.monotonic() - began:.1f} s")
        until(lambda: all(member.ready() for member in fresh))

    plan = Plan(seconds=20, seed=20, apis=1, workers=2, rate=10, pause=1, tomorrow=False)
    found = run(world, plan, faults.chosen({"kill", "term"}), print, way=before, during=upgrade)
    assert [] == found.broken
    assert 2 == len(waited)
    assert found.figures.acknowledged > 100
    assert {"kill", "term"} == set(found.done)


def waiting(member: Member) -> str:
    """What it says it waits for: one line, and not each second."""
    lines = [line for line in member.log().splitlines() if '"event":"waiting"' in line]
    assert len(lines) <= 1 + WITHIN / 30
    return lines[0] if lines else ""


def until(so: object, within: float = WITHIN) -> None:
    assert callable(so)
    deadline = time.monotonic() + within
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def migrated_by(tree: Path, dsn: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "outboxd", "migrate"],
        cwd=tree, env={"OUTBOXD_DATABASE_URL": dsn, "PYTHONPATH": str(tree)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
