"""The pool keeps its promises when connections, the server and the network do not."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import uvloop
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db import faults, rows
from outboxd.db.pool import Database
from outboxd.errors import Broken, DatabaseUnavailable
from tests.conftest import CrashServer
from tests.proofs import proves
from tests.proxy import Proxy
from tests.waiting import until

SOON = timedelta(seconds=1)


@pytest.fixture(autouse=True)
async def _table(conn: AsyncConnection[DictRow]) -> None:
    await conn.execute("create table kept (n int)")


async def _count(conn: AsyncConnection[Any]) -> int:
    return await rows.value(await conn.execute("select count(*) from kept"), int)


async def test_a_transaction_is_committed_at_the_end_of_its_block(
    db: Database, conn: AsyncConnection[DictRow]
) -> None:
    async with db.transaction() as tx:
        await tx.execute("insert into kept values (1)")
        assert await _count(conn) == 0

    assert await _count(conn) == 1


async def test_a_transaction_whose_block_raises_leaves_nothing(
    db: Database, conn: AsyncConnection[DictRow]
) -> None:
    with pytest.raises(LookupError):  # noqa: PT012  the block is what is tested
        async with db.transaction() as tx:
            await tx.execute("insert into kept values (1)")
            raise LookupError

    assert await _count(conn) == 0


async def test_a_cancelled_transaction_leaves_nothing_and_its_connection_is_usable(
    dsn: str, conn: AsyncConnection[DictRow]
) -> None:
    async with Database.open(dsn, pool_min=1, pool_max=1) as db:

        async def slow() -> None:
            async with db.transaction() as tx:
                await tx.execute("insert into kept values (1)")
                await tx.execute("select pg_sleep(30)")

        task = asyncio.create_task(slow())
        await until(lambda: _sleeping(conn))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async with db.transaction() as tx:
            assert await _count(tx) == 0
        assert db.stats().get("connections_lost", 0) == 0


async def test_an_error_that_was_swallowed_inside_does_not_pass_for_a_commit(db: Database) -> None:
    with pytest.raises(Broken):  # noqa: PT012  the block is what is tested
        async with db.transaction() as tx:
            with pytest.raises(Exception, match="nowhere"):
                await tx.execute("select * from nowhere")


async def test_the_statement_timeout_holds_inside_and_not_after(db: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="too long"):
        async with db.transaction(timedelta(milliseconds=50)) as tx:
            await tx.execute("select pg_sleep(5)")

    async with db.connection() as conn:
        cur = await conn.execute("select current_setting('statement_timeout')")
        assert await rows.value(cur, str) == "0"


async def test_begin_and_its_timeouts_are_one_round_trip(dsn: str) -> None:
    async with Proxy.before(dsn) as (proxy, through), Database.open(through, pool_min=1) as db:
        async with db.transaction():
            pass
        proxy.latency = 0.1

        started = time.monotonic()
        async with db.transaction(lock_timeout=SOON, idle_timeout=SOON):
            begun = time.monotonic() - started
        ended = time.monotonic() - started

    assert 0.2 <= begun < 0.4
    assert 0.4 <= ended < 0.6


async def test_killed_backends_cost_nobody_an_error(db: Database, conn: AsyncConnection[DictRow]) -> None:
    async with db.connection(), db.connection():
        pass
    await _kill_others(conn)

    async with db.transaction() as tx:
        await tx.execute("insert into kept values (1)")
    async with db.connection() as other:
        assert await _count(other) == 1


async def test_a_backend_killed_in_a_transaction_is_unavailable_and_certainly_not_committed(
    db: Database, conn: AsyncConnection[DictRow]
) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:  # noqa: PT012  the block is what is tested
        async with db.transaction() as tx:
            await tx.execute("insert into kept values (1)")
            await _kill_others(conn)
            await tx.execute("insert into kept values (2)")

    assert not isinstance(raised.value, faults.CommitUnknown)
    assert await _count(conn) == 0


async def test_a_connection_cut_at_commit_leaves_the_outcome_unknown(
    dsn: str, conn: AsyncConnection[DictRow]
) -> None:
    async with Proxy.before(dsn) as (proxy, through), Database.open(through, net_timeout=SOON) as db:
        with pytest.raises(faults.CommitUnknown):  # noqa: PT012  the block is what is tested
            async with db.transaction(timedelta(milliseconds=100)) as tx:
                await tx.execute("insert into kept values (1)")
                proxy.black_hole()

    assert await _count(conn) == 0


async def test_a_commit_whose_answer_is_lost_is_unknown_though_it_happened(
    dsn: str, conn: AsyncConnection[DictRow]
) -> None:
    async with Proxy.before(dsn) as (proxy, through), Database.open(through) as db:
        with pytest.raises(faults.CommitUnknown):  # noqa: PT012  the block is what is tested
            async with db.transaction() as tx:
                await tx.execute("insert into kept values (1)")
                proxy.cut_answers()

    assert await _count(conn) == 1


async def test_the_pool_comes_back_when_the_server_does(crash_server: CrashServer) -> None:
    async with Database.open(crash_server.dsn, pool_timeout=timedelta(milliseconds=300)) as db:
        async with db.transaction():
            pass
        crash_server.crash()
        with pytest.raises(DatabaseUnavailable):
            async with db.transaction():
                pass

        crash_server.resume()
        started = time.monotonic()
        await until(lambda: _works(db))

    assert time.monotonic() - started < 5


@pytest.mark.nightly
async def test_a_long_outage_does_not_make_the_pool_sleepy(crash_server: CrashServer) -> None:
    """With growing pauses the next attempt after 8 s would be 7 s away."""
    async with Database.open(crash_server.dsn, pool_timeout=timedelta(milliseconds=500)) as db:
        assert await _works(db)
        crash_server.crash()
        end = time.monotonic() + 8
        while time.monotonic() < end:
            assert not await _works(db)

        crash_server.resume()
        started = time.monotonic()
        await until(lambda: _works(db))

    assert time.monotonic() - started < 2


async def test_a_pool_opened_without_a_server_works_once_there_is_one(crash_server: CrashServer) -> None:
    crash_server.crash()
    async with Database.open(crash_server.dsn, pool_timeout=timedelta(milliseconds=300)) as db:
        assert not await _works(db)

        crash_server.resume()
        await until(lambda: _works(db))


async def test_after_a_black_hole_the_pool_is_usable_within_the_network_timeout(dsn: str) -> None:
    async with (
        Proxy.before(dsn) as (proxy, through),
        Database.open(through, pool_min=4, net_timeout=SOON) as db,
    ):
        async with db.connection(), db.connection(), db.connection(), db.connection():
            pass
        proxy.black_hole()
        await asyncio.sleep(0.1)
        proxy.heal()  # the four stay dead, as after a firewall forgot them

        started = time.monotonic()
        assert await _works(db)
        assert time.monotonic() - started < SOON.total_seconds() + 2
        assert all(await asyncio.gather(*(_works(db) for _ in range(4))))
        assert time.monotonic() - started < SOON.total_seconds() + 2


async def test_a_full_pool_says_so_in_time(dsn: str) -> None:
    limit = timedelta(milliseconds=100)
    async with (
        Database.open(dsn, pool_min=1, pool_max=1, pool_timeout=limit) as db,
        db.connection(),
    ):
        with pytest.raises(DatabaseUnavailable, match="free in time"):
            async with db.connection():
                pass


async def test_a_transaction_that_lost_against_another_is_repeated(db: Database) -> None:
    tries: list[int] = []

    async def body(conn: AsyncConnection[Any]) -> int:
        tries.append(1)
        if len(tries) < 3:
            await conn.execute("do $$ begin raise exception 'x' using errcode = '40001'; end $$")
        return len(tries)

    assert await db.run(body) == 3


@proves("G7")
async def test_prepared_statements_are_given_up_when_a_pooler_is_between(dsn: str) -> None:
    async with Database.open(dsn, pool_min=1, pool_max=1) as db:
        for _ in range(8):
            async with db.connection() as conn:
                await conn.execute("select 1 where %s", [True])
        async with db.connection() as conn:
            await conn.execute("do $$ begin execute 'deallocate all'; end $$", prepare=False)
        with pytest.raises(DatabaseUnavailable, match="prepared"):
            async with db.connection() as conn:
                await conn.execute("select 1 where %s", [True])

        async with db.connection() as conn:
            await conn.execute("select 1 where %s", [True])
            assert conn.prepare_threshold is None


@pytest.mark.parametrize(
    "factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_the_watchdog_cuts_on_every_event_loop(
    dsn: str, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def scene() -> float:
        async with (
            Proxy.before(dsn) as (proxy, through),
            Database.open(through, net_timeout=SOON, pool_timeout=SOON) as db,
        ):
            assert await _works(db)
            proxy.black_hole()
            started = time.monotonic()
            assert not await _works(db)
            return time.monotonic() - started

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(scene()) < 5.5


async def _works(db: Database) -> bool:
    try:
        async with db.transaction() as conn:
            await conn.execute("select 1")
    except DatabaseUnavailable:
        return False
    return True


async def _sleeping(conn: AsyncConnection[DictRow]) -> bool:
    cur = await conn.execute("select from pg_stat_activity where query like 'select pg_sleep%'")
    return cur.rowcount > 0


async def _kill_others(conn: AsyncConnection[DictRow]) -> None:
    await conn.execute(
        """
        select pg_terminate_backend(pid, 1000) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()
        """
    )
