"""Every committed event gets its number: none lost, none twice, no gap, whatever goes wrong meanwhile."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import cast
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.loops.sequencer import Round, Sequencer
from outboxd.loops.wakes import Wakes
from tests.clock import Clock
from tests.loops.running import running
from tests.sql.engine import Engine
from tests.waiting import until

Conn = AsyncConnection[DictRow]

_PUBLISH = "select outbox.publish('x.y', jsonb_build_object('n', %s::int), p_project => %s)"
_FEED = """
select f.seq, (e.payload ->> 'n')::int as n from outbox.feed f join outbox.events e on e.id = f.event_id
where f.project_id = %s order by f.seq
"""


class Writers:
    """Connections that publish numbers, some of which they roll back."""

    def __init__(self, dsn: str, project: UUID) -> None:
        self.dsn = dsn
        self.project = project
        self.committed: dict[int, list[int]] = {}

    async def write(self, who: int, count: int, more: Callable[[], bool] = lambda: False) -> None:
        """`count` numbers, and then for as long as `more` says so."""
        mine = self.committed.setdefault(who, [])
        async with await AsyncConnection.connect(self.dsn) as conn:
            for n in range(who * 10_000, (who + 1) * 10_000):
                if n - who * 10_000 >= count and not more():
                    return
                await conn.execute(_PUBLISH, [n, self.project])
                await asyncio.sleep(random.uniform(0, 0.01))
                if random.random() < 0.1:
                    await conn.rollback()
                else:
                    await conn.commit()
                    mine.append(n)

    @property
    def total(self) -> int:
        return sum(map(len, self.committed.values()))


async def assert_exact(engine: Engine, writers: Writers) -> None:
    feed = await engine.rows(_FEED, engine.project)
    assert [row["seq"] for row in feed] == list(range(1, writers.total + 1))
    seen = [row["n"] for row in feed]
    assert sorted(seen) == sorted(n for mine in writers.committed.values() for n in mine)
    for mine in writers.committed.values():
        ours = set(mine)
        assert [n for n in seen if n in ours] == mine


async def polled(wakes: Wakes) -> None:
    """What the poll does, without the rest of it."""
    while True:
        wakes.sequencer.wake("*")
        await asyncio.sleep(0.02)


@pytest.mark.proves("F1")
async def engine_of(conn: Conn) -> Engine:
    """With the real time: what is tested here runs by itself."""
    return await Engine.made(conn, cast("Clock", None))


async def test_eight_writers_and_three_sequencers_lose_double_and_reorder_nothing(
    dsn: str, db: Database, conn: Conn
) -> None:
    engine = await engine_of(conn)
    writers = Writers(dsn, engine.project)
    async with AsyncExitStack() as stack:
        for wakes in (Wakes(), Wakes(), Wakes()):
            await stack.enter_async_context(running(Sequencer(db, wakes, batch=7).run(), polled(wakes)))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for who in range(8):
                group.create_task(writers.write(who, 60))
        await until(lambda: head_is(engine, writers.total))
    await assert_exact(engine, writers)


@pytest.mark.proves("F1", "G1")
async def test_killing_the_sequencers_backends_all_the_time_loses_nothing(dsn: str, conn: Conn) -> None:
    engine = await engine_of(conn)
    writers = Writers(dsn, engine.project)
    kills = 0
    async with AsyncExitStack() as stack:
        sequencing = psycopg.conninfo.make_conninfo(dsn, application_name="sequencing")
        db = await stack.enter_async_context(Database.open(sequencing))
        for wakes in (Wakes(), Wakes()):
            await stack.enter_async_context(running(Sequencer(db, wakes, batch=7).run(), polled(wakes)))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            tasks = [group.create_task(writers.write(who, 100, lambda: kills <= 20)) for who in range(8)]
            while not all(task.done() for task in tasks):
                cur = await conn.execute(
                    "select count(pg_terminate_backend(pid)) as n from (select pid from pg_stat_activity"
                    " where application_name = 'sequencing' order by random() limit 1) p"
                )
                kills += (await cur.fetchone() or {})["n"]
                await asyncio.sleep(0.02)
        await until(lambda: head_is(engine, writers.total))
    await assert_exact(engine, writers)
    assert kills > 20


async def test_two_sequencers_of_one_project_never_wait_for_each_other(
    db: Database, conn: Conn, dsn: str, clock: Clock
) -> None:
    engine = await Engine.made(conn, clock)
    await engine.route()
    await engine.publish(place=False)
    async with await AsyncConnection.connect(dsn) as other:
        await other.execute("select from outbox.streams for update")
        async with asyncio.timeout(1):
            assert await Sequencer(db, Wakes()).once({"*"}) == 0
    assert await Sequencer(db, Wakes()).once({"*"}) == 1


@pytest.mark.proves("F2")
async def test_a_strangers_open_transaction_stalls_nobody(dsn: str, db: Database, conn: Conn) -> None:
    engine = await engine_of(conn)
    async with await AsyncConnection.connect(dsn) as stranger:
        await stranger.execute(_PUBLISH, [1, engine.project])
        await conn.execute(_PUBLISH, [2, engine.project])
        assert await Sequencer(db, Wakes()).once({str(engine.project)}) == 1
        await stranger.commit()
    assert await Sequencer(db, Wakes()).once({str(engine.project)}) == 1
    assert [row["n"] for row in await engine.rows(_FEED, engine.project)] == [2, 1]


async def test_a_lane_in_somebodys_hands_stops_placing_there_and_numbering_nowhere(
    dsn: str, db: Database, conn: Conn, clock: Clock
) -> None:
    engine = await Engine.made(conn, clock)
    await engine.route()
    other = await engine.add_project()
    await engine.route(project=other)
    await engine.publish("k")
    wakes = Wakes()
    async with await AsyncConnection.connect(dsn) as settling, running(Sequencer(db, wakes).run()):
        await settling.execute("select from outbox.lanes for update")
        await engine.publish("k", place=False)
        await engine.publish("k", place=False, project=other)
        wakes.sequencer.wake({str(engine.project), str(other)})
        await until(lambda: head_is(engine, 2))
        await until(lambda: places(engine, other, 1))
        assert await places(engine, engine.project, 1)
        await settling.rollback()
        await until(lambda: places(engine, engine.project, 2))


async def test_queues_that_became_due_by_placing_are_told(db: Database, conn: Conn, clock: Clock) -> None:
    engine = await Engine.made(conn, clock)
    await engine.route("mail")
    await engine.publish("k", place=False)
    wakes = Wakes()
    sequencer = Sequencer(db, wakes)
    await sequencer.once({"*"})
    await sequencer.place_once({"*"})
    assert wakes.queues.take() == {"mail"}


async def test_heads_are_told_after_the_commit(db: Database, conn: Conn, clock: Clock) -> None:
    engine = await Engine.made(conn, clock)
    told: list[str] = []
    wakes = Wakes(lambda _, hints: told.extend(f"{hint.name}:{hint.head}" for hint in hints))
    await engine.route()
    await engine.publish(place=False)
    await Sequencer(db, wakes).once({"*"})
    assert told == [f"{engine.project}:1"]


async def test_a_flooding_project_goes_behind_the_others_after_each_batch() -> None:
    flood, quiet = UUID(int=1), UUID(int=2)
    projects = Round()
    projects.add([flood, quiet])
    assert projects.take(1) == [flood]
    projects.add([flood])
    assert projects.take(1) == [quiet]
    assert projects.take(5) == [flood]
    assert not projects


async def test_what_was_committed_while_nobody_ran_is_found_at_the_start(
    db: Database, conn: Conn, clock: Clock
) -> None:
    engine = await Engine.made(conn, clock)
    await engine.route()
    await engine.publish("k", place=False)
    async with running(Sequencer(db, Wakes()).run()):
        await until(lambda: places(engine, engine.project, 1))


async def head_is(engine: Engine, head: int) -> bool:
    found: int = await engine.value("select head from outbox.streams where project_id = %s", engine.project)
    return found == head


async def places(engine: Engine, project: UUID, count: int) -> bool:
    found: int = await engine.value(
        "select count(*) from outbox.ready r join outbox.jobs j on j.id = r.job_id where j.project_id = %s",
        project,
    )
    return found == count
