"""`interactions` ends what nobody answered in time, and wakes who waits; `retention` drops what is over."""

import asyncio
from datetime import timedelta

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.loops.chores import chores
from outboxd.loops.sweeper import Sweeper
from outboxd.loops.wakes import Wakes
from tests import seed
from tests.api.served import configured
from tests.clock import Clock
from tests.sql.questions import answer, ask, events, rows, withdraw

Conn = AsyncConnection[DictRow]
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def swept(db: Database, dsn: str, wakes: Wakes | None = None, **settings: str) -> Sweeper:
    return Sweeper(db, chores(db, wakes or Wakes(), configured(**settings), dsn))


async def test_two_processes_expire_each_question_once(
    db: Database, conn: Conn, dsn: str, clock: Clock
) -> None:
    """Interactions 11."""
    tenant = await seed.tenant(conn)
    for _ in range(25):
        await ask(conn, tenant.project, ttl=MINUTE)
    clock.forward(MINUTE)
    sweepers = [swept(db, dsn) for _ in range(2)]
    done: list[int | None] = []
    while sum(each or 0 for each in done) < 25:
        done += await asyncio.gather(*(each.once("interactions") for each in sweepers))
    told = await events(conn, "interaction.expired")
    assert (25, 25) == (sum(each or 0 for each in done), len(told))
    assert 25 == len({each["subject"] for each in told})


async def test_whoever_waits_is_woken_by_the_sweep(db: Database, conn: Conn, dsn: str, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    id_ = (await ask(conn, tenant.project, ttl=MINUTE))["interaction_id"]
    clock.forward(MINUTE)
    wakes = Wakes()
    async with wakes.wait_interaction(id_) as over:
        assert 1 == await swept(db, dsn, wakes).once("interactions")
        assert over.is_set()


async def test_only_what_ended_long_ago_is_dropped(db: Database, conn: Conn, dsn: str, clock: Clock) -> None:
    """Interactions 20: age × state."""
    tenant = await seed.tenant(conn)

    async def each_state(age: str) -> None:
        for state in ("pending", "answered", "withdrawn", "expired"):
            ttl = timedelta(days=7) if state == "pending" else MINUTE
            await ask(conn, tenant.project, id=f"{age}-{state}", ttl=ttl)
        await answer(conn, f"{age}-answered", tenant.project)
        await withdraw(conn, f"{age}-withdrawn", tenant.project)
        clock.forward(MINUTE)
        await swept(db, dsn, INTERACTION_DAYS="2").once("interactions")

    await each_state("old")
    clock.forward(DAY)
    await each_state("young")
    clock.forward(DAY - 3 * MINUTE)
    assert 0 == await swept(db, dsn, INTERACTION_DAYS="2").once("retention")
    clock.forward(5 * MINUTE)
    assert 3 == await swept(db, dsn, INTERACTION_DAYS="2").once("retention")
    left = {each["id"] for each in await rows(conn, "select id from outbox.interactions")}
    young = {f"young-{state}" for state in ("pending", "answered", "withdrawn", "expired")}
    assert {"old-pending", *young} == left
