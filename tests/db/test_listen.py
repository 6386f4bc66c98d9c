"""The listener hears, knows whether it hears, and holds the lock that says its process lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db import locks
from outboxd.db.hints import Hint
from outboxd.db.listen import Listener, Lock
from tests.conftest import CrashServer
from tests.proofs import proves
from tests.proxy import Proxy
from tests.waiting import until

PERIOD = timedelta(milliseconds=300)
NET = timedelta(milliseconds=300)
LOCK_NO = 77


class Heard:
    """A listener at work, and what it has said."""

    def __init__(self, dsn: str) -> None:
        self.listener = Listener(dsn, period=PERIOD, net_timeout=NET, application="the listener")
        self.hints: list[Hint] = []
        self.locks: list[Lock | None] = []
        self.listener.subscribe(self.hints.append)

    @classmethod
    @asynccontextmanager
    async def on(cls, dsn: str) -> AsyncIterator["Heard"]:
        made = cls(dsn)
        running = asyncio.create_task(made.listener.run())
        try:
            assert await made.listener.until_proven(timedelta(seconds=5))
            yield made
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def holds_lock(self) -> Lock:
        self.listener.hold(LOCK_NO, self.locks.append)
        await until(lambda: self.listener.lock is not None)
        assert self.listener.lock is not None
        return self.listener.lock


async def test_hints_arrive_in_the_order_they_were_sent(dsn: str, conn: AsyncConnection[DictRow]) -> None:
    async with Heard.on(dsn) as heard:
        await conn.execute("select pg_notify('outbox_wake', 'q:observe q:endpoint:7\nj:8 x:9 s:p:41')")
        await conn.execute("notify outbox_pending")
        await until(lambda: len(heard.hints) == 6)

    assert heard.hints == [
        Hint(kind="everything"),
        Hint(kind="queue", name="observe"),
        Hint(kind="queue", name="endpoint:7"),
        Hint(kind="job", name="8"),
        Hint(kind="stream", name="p", head=41),
        Hint(kind="pending"),
    ]


async def test_a_terminated_listener_comes_back_and_says_look_everywhere(
    dsn: str, conn: AsyncConnection[DictRow]
) -> None:
    async with Heard.on(dsn) as heard:
        await _terminate(conn)
        await until(lambda: heard.hints.count(Hint(kind="everything")) == 2)
        await until(lambda: heard.listener.proven)

        await conn.execute("select pg_notify('outbox_wake', 'q:observe')")
        await until(lambda: Hint(kind="queue", name="observe") in heard.hints)


async def test_proven_does_not_flap_while_hints_arrive(dsn: str) -> None:
    async with Heard.on(dsn) as heard:
        seen = set()
        for _ in range(100):
            seen.add(heard.listener.proven)
            await asyncio.sleep(4 * PERIOD.total_seconds() / 100)

    assert seen == {True}


async def test_a_black_holed_listener_is_not_proven_and_comes_back_when_the_network_does(dsn: str) -> None:
    async with Proxy.before(dsn) as (proxy, through), Heard.on(through) as heard:
        proxy.black_hole()
        await until(lambda: not heard.listener.proven, 2 * PERIOD.total_seconds() + 0.5)

        proxy.heal()
        await until(lambda: heard.listener.proven)


async def test_a_listener_that_is_refused_keeps_trying(dsn: str) -> None:
    async with Proxy.before(dsn) as (proxy, through), Heard.on(through) as heard:
        proxy.refuse()
        proxy.reset()
        await until(lambda: not heard.listener.proven)
        tried = proxy.accepted
        await until(lambda: proxy.accepted > tried + 2)

        proxy.heal()
        await until(lambda: heard.listener.proven)


async def test_the_lock_is_held_and_named_with_the_servers_incarnation(
    dsn: str, conn: AsyncConnection[DictRow]
) -> None:
    async with Heard.on(dsn) as heard:
        lock = await heard.holds_lock()

        assert not await locks.try_session(conn, (locks.WORKER, LOCK_NO))
        cur = await conn.execute("select outbox.incarnation() as incarnation")
        assert await cur.fetchone() == {"incarnation": lock.incarnation}

    await until(lambda: locks.try_session(conn, (locks.WORKER, LOCK_NO)))


async def test_a_lost_lock_is_told_and_taken_again(dsn: str, conn: AsyncConnection[DictRow]) -> None:
    async with Heard.on(dsn) as heard:
        lock = await heard.holds_lock()

        await _terminate(conn)
        await until(lambda: len(heard.locks) == 3)

    assert heard.locks[:3] == [lock, None, lock]


async def test_the_lock_of_a_session_lost_in_a_black_hole_is_taken_from_it(dsn: str) -> None:
    async with Proxy.before(dsn) as (proxy, through), Heard.on(through) as heard:
        await heard.holds_lock()
        proxy.black_hole()
        await until(lambda: heard.listener.lock is None)

        proxy.heal()
        await until(lambda: heard.listener.lock is not None)


async def test_after_a_restart_of_the_server_the_lock_has_another_incarnation(
    crash_server: CrashServer,
) -> None:
    async with Heard.on(crash_server.dsn) as heard:
        before = await heard.holds_lock()

        crash_server.restart()
        await until(lambda: len(heard.locks) == 3)

    assert heard.locks[1] is None
    assert heard.listener.lock is None
    assert heard.locks[2] is not None
    assert heard.locks[2].incarnation != before.incarnation


async def test_a_lock_that_somebody_else_holds_is_left_to_them(
    dsn: str, conn: AsyncConnection[DictRow]
) -> None:
    assert await locks.try_session(conn, (locks.WORKER, LOCK_NO))

    async with Heard.on(dsn) as heard:
        heard.listener.hold(LOCK_NO, heard.locks.append)
        await asyncio.sleep(2 * PERIOD.total_seconds())
        assert heard.locks == []

        await conn.execute("select pg_advisory_unlock_all()")
        await until(lambda: heard.listener.lock is not None)


@proves("G7")
async def test_where_listen_hears_nothing_the_boot_is_told(dsn: str) -> None:
    async with Proxy.before(dsn) as (proxy, through):
        proxy.black_hole()
        listener = Listener(through, period=PERIOD, net_timeout=NET)
        running = asyncio.create_task(listener.run())

        assert not await listener.until_proven(timedelta(milliseconds=200))
        assert not listener.proven

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def _terminate(conn: AsyncConnection[DictRow]) -> None:
    await conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'the listener'"
    )
