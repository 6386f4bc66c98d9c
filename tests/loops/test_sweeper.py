"""Chores stand alone: one that fails or hangs stops no other, and its silence is seen."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from outboxd import config, telemetry
from outboxd.db.pool import Database
from outboxd.loops.chores import chores
from outboxd.loops.hub.hub import HEAL
from outboxd.loops.sweeper import Chore, Sweeper
from outboxd.loops.wakes import Wakes
from tests.clock import Clock
from tests.loops.running import running
from tests.waiting import until

proves = pytest.mark.proves

Conn = AsyncConnection[dict[str, Any]]
SOON = timedelta(milliseconds=20)
NAMES = ("reap", "stage", "expire", "retention", "partitions_make", "partitions_drop", "vacuum")

CLOSED = {
    "reap", "stage", "tick", "heal", "debezium", "interactions", "expire", "sessions_idle", "endpoints",
    "partitions_make", "partitions_drop", "retention", "purge", "usage", "vacuum",
}  # fmt: skip


class Bench:
    """Chores that count their runs."""

    def __init__(self) -> None:
        self.runs: dict[str, int] = dict.fromkeys(NAMES, 0)

    def chore(self, name: str, body: Callable[[], Awaitable[int]], **options: Any) -> Chore:
        async def once() -> int:
            self.runs[name] += 1
            return await body()

        return Chore(name=name, interval=SOON, once=once, **options)


async def goes() -> int:
    return 1


async def raises() -> int:
    raise RuntimeError("secret words of a row")


async def hangs() -> int:
    await asyncio.Event().wait()
    return 0


@proves("R6")
async def test_a_chore_that_raises_stops_no_other(db: Database, conn: Conn) -> None:
    bench, broken = Bench(), "expire"
    chores = [bench.chore(name, raises if name == broken else goes) for name in NAMES]
    before = failures(broken)
    async with running(Sweeper(db, chores, write_every=SOON).run()):
        await until(lambda: all(bench.runs[name] >= 3 for name in NAMES if name != broken))
        await until(lambda: bench.runs[broken] >= 2)
        await until(lambda: written(conn, set(NAMES) - {broken}))

    failed = await row(conn, broken)
    assert (None, "RuntimeError") == (failed["last_success_at"], failed["last_error"])
    assert failures(broken) - before == bench.runs[broken]


@proves("R6")
async def test_a_chore_that_hangs_is_cut_off_and_stops_no_other(db: Database, conn: Conn) -> None:
    bench = Bench()
    chores = [bench.chore("vacuum", hangs, limit=timedelta(milliseconds=100)), bench.chore("reap", goes)]
    async with running(Sweeper(db, chores, write_every=SOON).run()):
        await until(lambda: bench.runs["reap"] >= 10)
        await until(lambda: bench.runs["vacuum"] >= 2)
    assert "TimeoutError" == (await row(conn, "vacuum"))["last_error"]
    assert await written(conn, {"reap"})


@proves("R6")
async def test_silence_is_seen(db: Database, conn: Conn, clock: Clock) -> None:
    bench, works = Bench(), True

    async def sometimes() -> int:
        return 1 if works else await raises()

    sweeper = Sweeper(db, [bench.chore("reap", goes), bench.chore("expire", sometimes)])
    assert [1, 1] == [await sweeper.once("reap"), await sweeper.once("expire")]
    await sweeper.write()
    assert {"reap": False, "expire": False} == await late(conn)

    works = False
    clock.forward(timedelta(minutes=10))
    assert [1, None] == [await sweeper.once("reap"), await sweeper.once("expire")]
    await sweeper.write()
    assert {"reap": False, "expire": True} == await late(conn)


@proves("R6", "G8")
async def test_what_is_remembered_of_a_failure_is_its_class(db: Database, conn: Conn) -> None:
    await Sweeper(db, [Bench().chore("reap", raises)]).once("reap")
    assert "secret" not in str(await row(conn, "reap"))


@proves("R6", "G3")
async def test_a_full_run_comes_again_at_once_and_lets_others_in_between(db: Database) -> None:
    bench = Bench()
    full = bench.chore("expire", goes, full=1)
    async with running(Sweeper(db, [full, bench.chore("reap", goes)]).run()):
        await until(lambda: bench.runs["expire"] >= 100)
        await until(lambda: bench.runs["reap"] >= 2)


@proves("R6")
@pytest.mark.parametrize("fault", ["raises", pytest.param("hangs", marks=pytest.mark.nightly)])
async def test_each_of_the_real_chores_may_fail_and_the_others_go_on(
    db: Database, dsn: str, conn: Conn, fault: str
) -> None:
    broken = ""
    done: Counter[str] = Counter()

    def breakable(real: Chore) -> Chore:
        async def once() -> int:
            if real.name == broken:
                await (raises() if fault == "raises" else hangs())
            rows = await real.once()
            done[real.name] += 1
            return rows

        # Each as soon as it may, and none the longer for hanging.
        return msgspec.structs.replace(
            real, interval=SOON, once=once, asked=False, spaced=False, limit=timedelta(seconds=1)
        )

    sweeper = Sweeper(db, [breakable(each) for each in real_chores(db, dsn)], write_every=SOON)
    names = [chore.name for chore in real_chores(db, dsn)]
    async with running(sweeper.run()):
        await until(lambda: all(done[name] for name in names))
        resting = ""
        for name in names if fault == "raises" else names[:2]:
            before, failed = Counter(done), failures(name)
            # The last one rests for a second after its failure.
            others, broken = set(names) - {name, resting}, name
            await until(lambda: failures(name) > failed)  # noqa: B023 - awaited here
            await until(lambda: all(done[other] > before[other] for other in others))  # noqa: B023
            told = "RuntimeError" if fault == "raises" else "TimeoutError"
            assert told == (await row(conn, name))["last_error"]
            broken, resting = "", name


@proves("R6")
async def test_the_list_of_chores_is_closed_and_the_view_knows_it(db: Database, dsn: str, conn: Conn) -> None:
    await conn.execute("insert into outbox.settings values ('debezium_table', 'on')")
    await conn.execute("insert into outbox.chores (name) values ('heal')")
    cur = await conn.execute("select chore, every from outbox.chore_health")
    known = {each["chore"]: each["every"] for each in await cur.fetchall()}
    ours = {each.name: each.interval for each in real_chores(db, dsn)}
    assert CLOSED == set(known)
    assert known == {**ours, "heal": HEAL}


async def test_what_only_seems_to_be_work_is_looked_at_once_in_its_interval(db: Database) -> None:
    bench = Bench()
    chore = msgspec.structs.replace(bench.chore("vacuum", goes, spaced=True), interval=SOON * 10)
    sweeper = Sweeper(db, [chore, bench.chore("reap", goes)])
    async with running(sweeper.run()):
        for _ in range(50):
            sweeper.ask("vacuum")
            seen = bench.runs["reap"]
            await until(lambda: bench.runs["reap"] > seen)  # noqa: B023 - awaited here
    assert 1 <= bench.runs["vacuum"] < bench.runs["reap"] / 3


def real_chores(db: Database, dsn: str) -> tuple[Chore, ...]:
    given = {"OUTBOXD_DATABASE_URL": dsn, "OUTBOXD_WORKER_QUEUES": "work", "OUTBOXD_DEBEZIUM_TABLE": "on"}
    return chores(db, Wakes(), config.read(given, command="work"), dsn)


async def late(conn: Conn) -> dict[str, bool]:
    cur = await conn.execute(
        "select chore, late from outbox.chore_health where chore in ('reap', 'expire') order by chore desc"
    )
    return {each["chore"]: each["late"] for each in await cur.fetchall()}


async def row(conn: Conn, name: str) -> dict[str, Any]:
    found = await (await conn.execute("select * from outbox.chores where name = %s", [name])).fetchone()
    assert found is not None
    return found


async def written(conn: Conn, names: set[str]) -> bool:
    cur = await conn.execute("select name from outbox.chores where last_success_at is not null")
    return names <= {each["name"] for each in await cur.fetchall()}


def failures(name: str) -> float:
    return float(telemetry.CHORE_FAILURES_TOTAL.labels(name)._value.get())
