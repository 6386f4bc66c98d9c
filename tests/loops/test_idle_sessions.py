"""Sessions whose agent died: the sweeper ends them, and wakes who summarises."""

from datetime import timedelta

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.loops.chores import chores
from outboxd.loops.sweeper import Sweeper
from outboxd.loops.wakes import Wakes
from outboxd.store import sessions
from outboxd.store.sessions import Given
from tests import seed
from tests.api.served import configured
from tests.clock import Clock

Conn = AsyncConnection[DictRow]
HOUR = timedelta(hours=1)


async def test_silent_sessions_are_ended_and_their_queue_woken(
    db: Database, conn: Conn, dsn: str, clock: Clock
) -> None:
    tenant = await seed.tenant(conn)
    started = [await sessions.start(conn, seed.OPERATOR, Given(project=tenant.project)) for _ in range(3)]
    wakes = Wakes()
    sweeper = Sweeper(db, chores(db, wakes, configured(), dsn))
    assert 0 == await sweeper.once("sessions_idle")
    assert set() == wakes.queues.take()
    clock.forward(HOUR + timedelta(seconds=1))
    assert 3 == await sweeper.once("sessions_idle")
    assert {"summarize", "observe"} == wakes.queues.take()
    assert 0 == await sweeper.once("sessions_idle")
    async with db.connection() as pooled:
        found = await sessions.get(pooled, seed.OPERATOR, started[0].session_id)
    assert found
    assert (1, "processing") == (found.end_count, found.generation_status)


async def test_ended_sessions_are_looked_at_in_rounds(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    ids = []
    for _ in range(5):
        made = await sessions.start(conn, seed.OPERATOR, Given(project=tenant.project))
        await sessions.end(conn, seed.OPERATOR, made.session_id)
        ids.append(made.session_id)
        await conn.execute(
            "select outbox.publish('x', p_project => %s, p_session => %s)", [tenant.project, made.session_id]
        )
    clock.forward(HOUR + timedelta(seconds=1))
    ids.sort()
    seen, after, looks = [], None, 0
    while after is not None or not looks:
        ended, after = await sessions.end_idle(conn, 100, after, batch=2)
        seen += [each.session_id for each in ended]
        looks += 1
    assert ids == sorted(seen)
    assert 3 == looks
