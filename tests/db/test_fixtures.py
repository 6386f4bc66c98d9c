"""The fixtures keep the promises that every other test builds on."""

from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db import rows
from outboxd.db.pool import Database
from tests.clock import Clock


async def _clock_of(conn: AsyncConnection[DictRow]) -> datetime:
    return await rows.value(await conn.execute("select outbox.clock() as now"), datetime)


async def test_the_clock_moves_for_connections_that_are_open(
    db: Database, conn: AsyncConnection[DictRow], clock: Clock
) -> None:
    async with db.connection() as pooled:
        clock.set(datetime(2031, 5, 6, tzinfo=UTC))
        clock.forward(timedelta(hours=1))

        seen = {await _clock_of(conn), await _clock_of(pooled)}

    assert seen == {datetime(2031, 5, 6, 1, tzinfo=UTC)}


async def test_without_the_clock_fixture_time_passes(conn: AsyncConnection[DictRow]) -> None:
    before = await _clock_of(conn)

    assert await _clock_of(conn) > before


async def test_every_partitioned_table_takes_rows_of_any_time(conn: AsyncConnection[DictRow]) -> None:
    cur = await conn.execute(
        """
        select c.relname as name from pg_partitioned_table p join pg_class c on c.oid = p.partrelid
        where c.relnamespace = 'outbox'::regnamespace
          and not exists (select from pg_inherits i where i.inhparent = c.oid)
        """
    )

    assert await rows.values(cur, str) == []
