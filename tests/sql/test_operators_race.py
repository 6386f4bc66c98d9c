"""Operators against workers, the sequencer, the rescue and each other: real concurrency on real time."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.proofs import proves
from tests.sql.engine import Conn, Engine

Act = Callable[[Conn, UUID, dict[str, Any]], Awaitable[Any]]


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


@pytest.fixture
async def others(dsn: str) -> AsyncIterator[list[Conn]]:
    """Two more connections, autocommit."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                await AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row)
            )
            for _ in range(2)
        ]


async def said(conn: Conn, statement: bytes, *given: Any) -> Any:
    """What a verb answers, or the SQLSTATE of its refusal."""
    try:
        cursor = await conn.execute(statement, given)
        return [tuple(row.values()) for row in await cursor.fetchall()]
    except psycopg.Error as refused:
        if not (refused.sqlstate or "").startswith("OX"):
            raise
        return refused.sqlstate


async def cancel(conn: Conn, job: UUID, _: dict[str, Any]) -> Any:
    return await said(conn, b"select * from outbox.cancel(outbox.me(), %s)", job)


async def retry(conn: Conn, job: UUID, _: dict[str, Any]) -> Any:
    return await said(conn, b"select * from outbox.retry(outbox.me(), %s)", job)


async def snooze(conn: Conn, job: UUID, _: dict[str, Any]) -> Any:
    # So short that the job is as due as before: which of two came first does not show otherwise.
    return await said(
        conn, b"select outbox.snooze(outbox.me(), %s, outbox.clock() + interval '1 us') is null", job
    )


async def nap(conn: Conn, job: UUID, _: dict[str, Any]) -> Any:
    statement = b"select outbox.snooze(outbox.me(), %s, outbox.clock() + interval '20 ms', 'nap')"
    return await said(conn, statement, job)


async def purge(conn: Conn, job: UUID, _: dict[str, Any]) -> Any:
    given = Jsonb({"ids": [str(job)]})
    return await said(conn, b"select affected from outbox.purge(outbox.me(), %s)", given)


async def claim(conn: Conn, _: UUID, context: dict[str, Any]) -> Any:
    return await said(conn, b"select no from outbox.claim(%s, 1)", context["worker"])


async def complete(conn: Conn, job: UUID, context: dict[str, Any]) -> Any:
    result = Jsonb([{"lease": str(context["lease"]), "job": str(job), "outcome": "completed", "ms": 1}])
    return await said(
        conn, b"select accepted, state, note from outbox.settle(%s, %s)", context["worker"], result
    )


ACTS: dict[str, Act] = {
    "cancel": cancel, "retry": retry, "snooze": snooze, "purge": purge, "claim": claim, "complete": complete,
}  # fmt: skip
SKIPS = {"purge": [(0,)], "claim": []}
"""Never wait: what they answer when somebody holds the job."""


async def brought_to(engine: Engine, state: str, key: str | None) -> tuple[UUID, dict[str, Any]]:
    """The only job of a fresh lane, in that state, and its worker and lease."""
    worker = await engine.worker()
    job = await engine.publish(key)
    lease = job
    if state in ("processing", "failed"):
        running = await engine.claim_one(worker)
        lease = running["lease_id"]
        if state == "failed":
            await engine.fail(worker, running)
    elif state == "cancelled":
        await engine.call("cancel", job)
    engine.clock.forward(timedelta(milliseconds=1))
    return job, {"worker": worker, "lease": lease}


async def swept(engine: Engine, job: UUID) -> str:
    """How it ended; then it is out of the way."""
    assert [] == await engine.misplaced()
    state: str = (await engine.state(job))["state"]
    await engine.rows("delete from outbox.dead_letters returning 1")
    await engine.rows("delete from outbox.leases returning 1")
    await engine.rows("delete from outbox.ready returning 1")
    await engine.rows("delete from outbox.later returning 1")
    await engine.rows("delete from outbox.jobs returning 1")
    await engine.rows("delete from outbox.attempts returning 1")
    await engine.rows("delete from outbox.lanes returning 1")
    return state


@pytest.mark.parametrize("key", [None, "k"], ids=["unkeyed", "keyed"])
@pytest.mark.parametrize("start", ["queued", "processing", "failed", "cancelled"])
@proves("L17")
async def test_two_at_once_answer_as_one_after_the_other(
    engine: Engine, others: list[Conn], start: str, key: str | None
) -> None:
    await engine.route()
    one, two = others
    for first, second in combinations_with_replacement(ACTS, 2):
        allowed = [
            await in_turn(engine, start, key, first, second, False),
            await in_turn(engine, start, key, first, second, True),
        ]
        allowed += [
            await alone(engine, start, key, first, second, skips) for skips in {first, second} & SKIPS.keys()
        ]
        for _ in range(3):
            job, context = await brought_to(engine, start, key)
            answers = await asyncio.gather(ACTS[first](one, job, context), ACTS[second](two, job, context))
            seen = (*answers, await swept(engine, job))
            assert seen in allowed or seen in mirrored(allowed, first, second), (first, second, seen, allowed)


def mirrored(allowed: list[tuple[Any, ...]], first: str, second: str) -> list[tuple[Any, ...]]:
    return [(b, a, state) for a, b, state in allowed] if first == second else []


async def in_turn(
    engine: Engine, start: str, key: str | None, first: str, second: str, swapped: bool
) -> tuple[Any, ...]:
    job, context = await brought_to(engine, start, key)
    if swapped:
        b = await ACTS[second](engine.conn, job, context)
        a = await ACTS[first](engine.conn, job, context)
    else:
        a = await ACTS[first](engine.conn, job, context)
        b = await ACTS[second](engine.conn, job, context)
    return a, b, await swept(engine, job)


async def alone(
    engine: Engine, start: str, key: str | None, first: str, second: str, skips: str
) -> tuple[Any, ...]:
    """The other one acts, this one found the job held."""
    job, context = await brought_to(engine, start, key)
    if skips == first:
        b = await ACTS[second](engine.conn, job, context)
        return SKIPS[first], b, await swept(engine, job)
    a = await ACTS[first](engine.conn, job, context)
    return a, SKIPS[second], await swept(engine, job)


# Interleavings, step by step ---------------------------------------------------------------------------


async def test_a_cancel_waits_for_a_claim_and_then_ends_the_running_job(
    engine: Engine, others: list[Conn]
) -> None:
    await engine.route()
    worker = await engine.worker()
    job = await engine.publish("k")
    engine.clock.forward(timedelta(milliseconds=1))
    one, two = others
    async with one.transaction():
        assert [(1,)] == await claim(one, job, {"worker": worker})
        waiting = asyncio.ensure_future(cancel(two, job, {}))
        await engine.somebody_waits()
    assert [("processing", "cancelled")] == await waiting
    assert await engine.lane(job) is None


async def test_a_cancel_waits_for_a_settle_and_is_too_late(engine: Engine, others: list[Conn]) -> None:
    await engine.route()
    job, context = await brought_to(engine, "processing", "k")
    one, two = others
    async with one.transaction():
        assert [(True, "completed", None)] == await complete(one, job, context)
        waiting = asyncio.ensure_future(cancel(two, job, {}))
        await engine.somebody_waits()
    assert "OX409" == await waiting


async def test_a_settle_waits_for_a_cancel_and_is_refused(engine: Engine, others: list[Conn]) -> None:
    await engine.route()
    job, context = await brought_to(engine, "processing", "k")
    one, two = others
    async with one.transaction():
        assert [("processing", "cancelled")] == await cancel(one, job, {})
        waiting = asyncio.ensure_future(complete(two, job, context))
        await engine.somebody_waits()
    assert [(False, None, "lease_over")] == await waiting


async def test_a_cancel_in_the_lane_of_a_settling_head_does_not_deadlock(
    engine: Engine, others: list[Conn]
) -> None:
    await engine.route()
    worker = await engine.worker()
    head, behind = await engine.publish("k"), await engine.publish("k")
    lease = (await engine.claim_one(worker))["lease_id"]
    one, two = others
    async with one.transaction():
        assert [("queued", "cancelled")] == await cancel(one, behind, {})
        waiting = asyncio.ensure_future(complete(two, head, {"worker": worker, "lease": lease}))
        await engine.somebody_waits()
        # It holds the lane that the settle waits for; the lease is the settle's.
        assert [("cancelled", "cancelled")] == await cancel(one, behind, {})
    assert [(True, "completed", None)] == await waiting
    assert await engine.lane(head) is None


async def test_a_cancel_waits_for_the_placing_of_its_job(engine: Engine, others: list[Conn]) -> None:
    await engine.route()
    job = await engine.publish("k", place=False)
    await engine.rows("select outbox.sequence(array[%s::uuid])", engine.project)
    one, two = others
    async with one.transaction():
        await one.execute("select outbox.place(%s)", [engine.project])
        waiting = asyncio.ensure_future(cancel(two, job, {}))
        await engine.somebody_waits()
    assert [("queued", "cancelled")] == await waiting
    assert await engine.lane(job) is None


async def test_placing_passes_a_job_whose_cancel_is_under_way(engine: Engine, others: list[Conn]) -> None:
    await engine.route()
    job = await engine.publish("k", place=False)
    await engine.rows("select outbox.sequence(array[%s::uuid])", engine.project)
    one, _ = others
    async with one.transaction():
        assert [("queued", "cancelled")] == await cancel(one, job, {})
        await engine.rows("select outbox.place(%s)", engine.project)
        assert 1 == await engine.value("select count(*) from outbox.unplaced")
    await engine.place()
    assert 0 == await engine.value("select count(*) from outbox.ready")


async def test_a_job_that_keeps_moving_is_said_to(engine: Engine, conn: Conn) -> None:
    """After three looks. What moves it here stands between the look and the look again."""
    job = await engine.enqueue()
    await conn.execute(
        """
        create or replace function outbox.lock_place(
          p_job outbox.jobs, p_state text, p_place text, p_lease uuid, p_open boolean
        ) returns void language plpgsql
        as $$ begin update outbox.ready set no = no + 1; end $$
        """
    )
    before = await engine.state(job)
    for verb in ("cancel", "retry"):
        assert "OX503" == await engine.refused(verb, job)
    # Whatever a look in vain did is undone.
    assert before == await engine.state(job)


# All at once -------------------------------------------------------------------------------------------

SECONDS = 4


class Storm:
    """Publishers, workers, the sequencer, the rescue and operators, each on a connection of its own."""

    def __init__(self, dsn: str, engine: Engine) -> None:
        self.dsn = dsn
        self.engine = engine
        self.until = datetime.now(UTC) + timedelta(seconds=SECONDS)
        self.luck = random.Random(7)
        self.jobs: list[UUID] = []
        self.acts = 0

    async def run(self) -> None:
        loops = [self.publisher, self.worker, self.worker, self.dying_worker, self.sequencer, self.upkeep]
        loops += [self.operator] * 3 + [self.bulk] * 2
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(self.repeat(loop))

    async def repeat(self, once: Callable[[Conn, dict[str, Any]], Awaitable[None]]) -> None:
        async with await AsyncConnection.connect(self.dsn, autocommit=True, row_factory=dict_row) as conn:
            mine: dict[str, Any] = {}
            while datetime.now(UTC) < self.until:
                await once(conn, mine)
                self.acts += 1

    async def publisher(self, conn: Conn, _: dict[str, Any]) -> None:
        key = self.luck.choice([None, "a", "b", "c"])
        cursor = await conn.execute(
            "with e as (select outbox.publish('x.y', '{}', p_project => %s, p_ordering_key => %s) as id)"
            " select id from e",
            [self.engine.project, key],
        )
        event = (await cursor.fetchall())[0]["id"]
        cursor = await conn.execute("select id from outbox.jobs where event_id = %s", [event])
        self.jobs += [row["id"] for row in await cursor.fetchall()]
        await asyncio.sleep(0.002)

    async def sequencer(self, conn: Conn, _: dict[str, Any]) -> None:
        await conn.execute("select outbox.sequence(array[%s::uuid])", [self.engine.project])
        await conn.execute("select outbox.place(%s)", [self.engine.project])

    async def upkeep(self, conn: Conn, _: dict[str, Any]) -> None:
        await conn.execute("select outbox.stage()")
        await conn.execute("select outbox.reap()")
        await conn.execute("select outbox.expire()")

    async def worker(self, conn: Conn, mine: dict[str, Any]) -> None:
        if "id" not in mine:
            mine["id"] = await enlist(conn, 10)
        await conn.execute("select outbox.beat(%s)", [mine["id"]])
        results = [self.outcome(job) for job in await claimed(conn, mine["id"], 8)]
        if results:
            await conn.execute("select outbox.settle(%s, %s)", [mine["id"], Jsonb(results)])

    def outcome(self, job: dict[str, Any]) -> dict[str, Any]:
        said = {"lease": str(job["lease_id"]), "job": str(job["job_id"]), "ms": 1}
        return said | self.luck.choice(
            [
                {"outcome": "completed"},
                {"outcome": "failed", "final": True, "class": "Boom"},
                {"outcome": "failed", "retryInMs": 5},
                {"outcome": "snoozed", "forMs": 5, "reason": "nap"},
            ]
        )

    async def dying_worker(self, conn: Conn, _: dict[str, Any]) -> None:
        """Beats every 50 ms as it says, and never does."""
        await claimed(conn, await enlist(conn, 0.05), 3)
        await asyncio.sleep(0.3)

    async def operator(self, conn: Conn, _: dict[str, Any]) -> None:
        if not self.jobs:
            await asyncio.sleep(0.01)
            return
        verb = self.luck.choice([cancel, retry, retry, nap])
        answer = await verb(conn, self.luck.choice(self.jobs[-60:]), {})
        assert answer not in ("OX400", "OX404", "OX500")

    async def bulk(self, conn: Conn, _: dict[str, Any]) -> None:
        verb = self.luck.choice([b"redrive", b"redrive", b"cancel_many", b"purge", b"unhold"])
        if verb == b"unhold":
            await conn.execute("select outbox.unhold(outbox.me(), 'nap')")
            return
        states = {
            b"cancel_many": ["queued", "processing"],
            b"purge": ["failed"],
            b"redrive": ["failed", "cancelled"],
        }
        given = Jsonb({"queue": "work", "status": states[verb]})
        await conn.execute(b"select outbox.%s(outbox.me(), %%s, 5)" % verb, [given])
        await asyncio.sleep(0.005)


async def enlist(conn: Conn, beat: float) -> UUID:
    cursor = await conn.execute(
        "select worker_id from outbox.enlist('w', '{pull:work}', null, %s)", [Jsonb({"beatSeconds": beat})]
    )
    worker: UUID = (await cursor.fetchall())[0]["worker_id"]
    return worker


async def claimed(conn: Conn, worker: UUID, limit: int) -> list[dict[str, Any]]:
    cursor = await conn.execute("select lease_id, job_id from outbox.claim(%s, %s)", [worker, limit])
    return await cursor.fetchall()


@proves("C1", "C15", "L17")
async def test_a_storm_neither_deadlocks_nor_loses_a_job(conn: Conn, dsn: str, clock: Clock) -> None:
    engine = await Engine.made(conn, clock)
    await engine.route()
    await engine.call("configure_queue", "work", {"onDead": "block"})
    await conn.execute("delete from outbox_test.clock")  # real time from here on
    storm = Storm(dsn, engine)
    await storm.run()
    assert storm.acts > 500
    assert [] == await engine.misplaced()
    assert [] == await engine.rows(
        "select job_id from outbox.attempts group by job_id having max(no) <> count(*) or min(no) <> 1"
        " except select unnest(job_ids) from outbox.leases"
    )
    await drained(engine, conn)
    assert 0 == await engine.value("select count(*) from outbox.lanes")


async def drained(engine: Engine, conn: Conn) -> None:
    """Everything that waits can still be run to its end; no lane is stranded."""
    worker = await enlist(conn, 10)
    async with asyncio.timeout(60):
        while await engine.value(
            "select exists (select from outbox.ready) or exists (select from outbox.later)"
            " or exists (select from outbox.leases) or exists (select from outbox.unplaced)"
            " or exists (select from outbox.pending) or exists (select from outbox.lanes)"
        ):
            await engine.rows("select outbox.sequence(array[%s::uuid])", engine.project)
            for statement in ("place(%s)", "stage()", "reap()"):
                given = [engine.project] if "%s" in statement else []
                await engine.rows(f"select outbox.{statement}", *given)
            await engine.rows("select outbox.unhold(outbox.me(), 'nap')")
            await engine.rows("select outbox.unhold(outbox.me(), 'snoozed')")
            await engine.rows('select outbox.purge(outbox.me(), \'{"queue": "work"}\', 10000)')
            results = [
                {"lease": str(job["lease_id"]), "job": str(job["job_id"]), "outcome": "completed", "ms": 1}
                for job in await claimed(conn, worker, 500)
            ]
            if results:
                await engine.rows("select outbox.settle(%s, %s)", worker, Jsonb(results))
