"""What tests of schedules say often."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.api import schedule_wire
from outboxd.api.schedule_wire import ScheduleIn
from outboxd.db.pool import Database
from outboxd.model import Caller
from outboxd.store import schedules
from outboxd.store.callers import ByKey
from tests import seed

Conn = AsyncConnection[DictRow]
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


async def made(db: Database, tenant: seed.Tenant, cron: str = "every 10s", **fields: Any) -> UUID:
    """As the API makes it, by the tenant's key."""
    given = ScheduleIn(**{"name": "s", "type": "tick.tock", **fields}, cron=cron)
    values = schedule_wire.whole(given)
    async with db.transaction() as conn:
        now = await schedules.now(conn)
        first = schedule_wire.first_tick(values, now, now)
        return await schedules.add(
            conn, by(tenant), tenant.project, schedule_wire.columns(values), now, first
        )


async def changed(db: Database, tenant: seed.Tenant, schedule: UUID, **fields: Any) -> None:
    """As PATCH changes it."""
    given = ScheduleIn(**fields)
    async with db.transaction() as conn:
        due = await schedules.lock(conn, by(tenant), schedule)
        now = await schedules.now(conn)
        known = await schedules.get(conn, seed.OPERATOR, schedule)
        assert known
        values = schedule_wire.whole(given, known)
        turn = schedule_wire.turned(values, given, known, due, now)
        said = {**schedule_wire.columns(values), "state": turn.state, "reason": turn.reason}
        await schedules.change(conn, by(tenant), schedule, said, turn.next_at)


def by(tenant: seed.Tenant) -> Caller:
    return ByKey(actor="test", key_id=tenant.key_id, scope="endpoints:write")


async def events(conn: Conn) -> list[DictRow]:
    """What was published, in that order: the tick, in milliseconds since 1970, and what it says of others."""
    cur = await conn.execute(
        """
        select (metadata #>> '{schedule,tickEpoch}')::bigint as tick,
          (metadata #>> '{schedule,missed}')::int as missed, e.*
        from outbox.events e where adapter = 'schedule' order by tick, id
        """
    )
    return await cur.fetchall()


async def row(conn: Conn, schedule: UUID) -> DictRow:
    found = await (await conn.execute("select * from outbox.schedules where id = %s", [schedule])).fetchone()
    assert found
    return found


async def trail(conn: Conn) -> list[str]:
    cur = await conn.execute("select action from outbox.audit_log order by at, id")
    return [each["action"] for each in await cur.fetchall() if each["action"].startswith("schedule.")]


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
