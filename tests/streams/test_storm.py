"""Committed events = numbers = what readers got, while sequencers are killed."""

import asyncio
import random

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from tests import seed
from tests.proofs import proves
from tests.streams import pods
from tests.telemetry.test_metrics import values

Conn = AsyncConnection[DictRow]


@proves("F1", "F3")
@pytest.mark.parametrize(
    ("seconds", "killed"),
    [(2.0, False), (3.0, True), pytest.param(10.0, True, marks=pytest.mark.nightly)],
)
async def test_nothing_is_lost_doubled_or_reordered_under_writers_and_kills(
    seconds: float, killed: bool, dsn: str, conn: Conn, tenant: seed.Tenant
) -> None:
    """Eight writers, transactions of 0 to 20 ms, a tenth rolled back; three sequencers, two readers."""
    random.seed(1)
    gaps = values("stream_gaps_total")[()]
    async with pods.pod(dsn) as first, pods.pod(dsn) as second, pods.pod(dsn, listens=False):
        async with first.stream(tenant) as one, second.stream(tenant, "last_event_id=earliest") as two:
            await one.message()
            stop = asyncio.Event()
            writing = [asyncio.create_task(write(dsn, tenant, n, stop)) for n in range(8)]
            killing = asyncio.create_task(kill(dsn)) if killed else None
            await asyncio.sleep(seconds)
            stop.set()
            committed = await asyncio.gather(*writing)
            kills = await stopped(killing)
            total = sum(committed)
            found = [await each.events(total, 20) for each in (one, two)]
        for messages in found:
            assert list(range(1, total + 1)) == [pods.seq(each.id) for each in messages]
            by_writer: dict[int, list[int]] = {}
            for each in messages:
                payload = each.json["payload"]
                by_writer.setdefault(payload["w"], []).append(payload["n"])
            # The order of one connection is kept, what was rolled back is not there.
            assert all(seen == sorted(set(seen)) for seen in by_writer.values())
            assert sorted(committed) == sorted(len(seen) for seen in by_writer.values())
    assert not killed or kills > seconds * 5
    assert gaps == values("stream_gaps_total")[()]


async def write(dsn: str, tenant: seed.Tenant, writer: int, stop: asyncio.Event) -> int:
    done = n = 0
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        while not stop.is_set():
            n += 1
            await conn.execute(
                "select outbox.publish('t', jsonb_build_object('w', %s::int, 'n', %s::int), %s)",
                (writer, n, tenant.project),
            )
            await asyncio.sleep(random.uniform(0, 0.02))
            if random.random() < 0.1:
                await conn.rollback()
            else:
                await conn.commit()
                done += 1
    return done


async def kill(dsn: str) -> int:
    """A connection of a process, every 50 ms; how many were killed until we are."""
    killed = 0
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        try:
            while True:
                cur = await conn.execute(
                    "select pg_terminate_backend(pid) from (select pid from pg_stat_activity"
                    " where application_name like 'outboxd%' and datname = current_database()"
                    " order by random() limit 1) x"
                )
                killed += cur.rowcount
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return killed


async def stopped(killing: asyncio.Task[int] | None) -> int:
    if killing is None:
        return 0
    killing.cancel()
    return await killing
