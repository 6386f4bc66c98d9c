"""Processes whose clocks are wrong: the database's is the only one that counts."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.bench.drill.crew import forget_clock
from outboxd.db.pool import Database
from tests import seed
from tests.clock import Clock
from tests.proofs import proves
from tests.schedules.rows import SECOND, events, made
from tests.waiting import until

Conn = AsyncConnection[DictRow]

pytestmark = pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")


@asynccontextmanager
async def processes(dsn: str, period: float, *skews: str) -> AsyncIterator["Crew"]:
    """Schedulers, one a skew (`+5s`, `-10m`)."""
    started = [
        await asyncio.create_subprocess_exec(
            *("faketime", "-f", skew, sys.executable, "-m", "tests.schedules.process", dsn, str(period)),
            stdout=asyncio.subprocess.PIPE,
            # faketime waits for what it has started: they are killed together.
            start_new_session=True,
            env={**os.environ, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        )
        for skew in skews
    ]
    try:
        clocks = []
        for each in started:
            assert each.stdout
            word, _, said = (await each.stdout.readline()).decode().partition(" ")
            assert "ready" == word
            clocks.append(float(said))
        yield Crew(clocks, started)
    finally:
        await killed(started)


class Crew(NamedTuple):
    clocks: list[float]
    """What each said when it was ready."""
    started: list[Process]


async def killed(started: list[Process]) -> None:
    for each in started:
        if each.returncode is None:
            os.killpg(each.pid, signal.SIGKILL)
        await each.communicate()
        forget_clock(each.pid)


async def fired(conn: Conn, wanted: int) -> None:
    """So many events are there."""

    async def enough() -> bool:
        return wanted <= len(await events(conn))

    await until(enough)


@proves("S1", "S2")
@pytest.mark.parametrize("ticks", [10, pytest.param(100, marks=pytest.mark.nightly)])
async def test_three_processes_with_skewed_clocks_make_one_event_a_tick(
    dsn: str, db: Database, conn: Conn, clock: Clock, ticks: int
) -> None:
    """And the one that is ten minutes behind goes on alone."""
    tenant = await seed.tenant(conn)
    await made(db, tenant)
    async with processes(dsn, 0.01, "-10m", "-5s", "+5s") as crew:
        slow, late, early = crew.clocks
        assert (8 < early - late, 500 < late - slow) == (True, True)
        for n in range(ticks):
            clock.forward(10 * SECOND)
            await fired(conn, n + 1)
        await killed(crew.started[1:])
        clock.forward(10 * SECOND)
        await fired(conn, ticks + 1)
    found = await events(conn)
    assert ticks + 1 == len(found) == len({each["tick"] for each in found})
    assert {0} == {each["missed"] for each in found}


@pytest.mark.nightly
@proves("S2")
async def test_a_clock_ten_minutes_behind_strands_nothing(dsn: str, db: Database, conn: Conn) -> None:
    """Nobody notifies it, and it sleeps until the tick: on time by the database's clock."""
    tenant = await seed.tenant(conn)
    await made(db, tenant)
    async with processes(dsn, 0, "-10m"):
        await conn.execute("update outbox.schedules set next_at = outbox.clock() + interval '1.5 s'")
        await fired(conn, 1)
    [event] = await events(conn)
    late = event["received_at"] - event["occurred_at"]
    assert timedelta() <= late < timedelta(seconds=1)
