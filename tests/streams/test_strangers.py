"""What others do to the same database: a flood in one project, a transaction that stays open."""

import asyncio
import time
from datetime import timedelta
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.loops.sequencer import Sequencer
from outboxd.loops.wakes import Wakes
from tests import seed
from tests.proofs import proves
from tests.streams import pods
from tests.streams.pods import Pod
from tests.waiting import until

Conn = AsyncConnection[DictRow]

FLOOD = 10_000
OPEN = timedelta(seconds=3)


@pytest.mark.slow
async def test_a_flooding_project_hides_none_of_fifteen_quiet_ones(
    db: Database, conn: Conn, tenant: seed.Tenant
) -> None:
    """They publish while the flood is being numbered, and have their numbers before it is half done."""
    _, left = await quiet_amid_flood(db, conn, tenant, FLOOD, batch=FLOOD // 50)
    assert left > FLOOD / 2


@pytest.mark.nightly
async def test_quiet_projects_amid_a_flood_are_numbered_within_300_ms(
    db: Database, conn: Conn, tenant: seed.Tenant
) -> None:
    took, left = await quiet_amid_flood(db, conn, tenant, 2 * FLOOD, batch=1000)
    assert left > 0
    assert took < 0.3


async def quiet_amid_flood(
    db: Database, conn: Conn, tenant: seed.Tenant, flood: int, batch: int
) -> tuple[float, int]:
    """Seconds until all the quiet ones were numbered, and what was left of the flood then."""
    quiet = [(await seed.tenant(conn, f"quiet {n}")).project for n in range(15)]
    await pods.publish(conn, tenant.project, flood)
    wakes = Wakes()
    numbering = asyncio.create_task(Sequencer(db, wakes, batch=batch).run())
    try:
        await until(lambda: begun(conn, [tenant.project]))
        async with conn.transaction():
            for project in quiet:
                await pods.publish(conn, project)
        committed = time.monotonic()
        wakes.committed({}, quiet)
        await until(lambda: begun(conn, quiet))
        return time.monotonic() - committed, flood - (await heads(conn))[tenant.project]
    finally:
        numbering.cancel()
        await asyncio.gather(numbering, return_exceptions=True)


@proves("F2")
async def test_a_strangers_open_transaction_delays_no_subscriber(
    pod: Pod, dsn: str, conn: Conn, tenant: seed.Tenant
) -> None:
    async with (
        await AsyncConnection.connect(dsn) as stranger,
        pod.stream(tenant) as stream,
    ):
        await stream.message()
        await stranger.execute("select outbox.publish('stranger', '{}', %s)", (tenant.project,))
        began = time.monotonic()
        for n in range(20):
            made = await pod.publish(tenant, payload={"n": n})
            assert made == (await stream.event(OPEN.total_seconds())).json["id"]
        assert time.monotonic() - began < OPEN.total_seconds()
        assert TransactionStatus.INTRANS == stranger.info.transaction_status
        await stranger.commit()
        assert "stranger" == (await stream.event()).json["eventType"]


async def begun(conn: Conn, projects: list[UUID]) -> bool:
    found = await heads(conn)
    return all(found[project] for project in projects)


async def heads(conn: Conn) -> dict[UUID, int]:
    cur = await conn.execute("select project_id, head from outbox.streams")
    return {row["project_id"]: row["head"] for row in await cur.fetchall()}
