"""C1, as one query: a job stands in exactly one place, and its lane knows of it.

    for problem in invariants.broken(conn): ...        # [] when all is well

Run after every step of the model, every second of drill and soak, and at the end of tests that race.
It reads everything in one snapshot, so it may run while others work.
"""

from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.rows import tuple_row

from outboxd.bench.drill.places import C1


def broken(conn: Connection[Any]) -> list[str]:
    """What does not hold now, a sentence each."""
    with conn.cursor(row_factory=tuple_row) as cur:
        return [f"{job}: {problem}" for problem, job in cur.execute(C1.encode()).fetchall()]


async def broken_now(conn: AsyncConnection[Any]) -> list[str]:
    """The same, for tests with an event loop."""
    async with conn.cursor(row_factory=tuple_row) as cur:
        await cur.execute(C1.encode())
        return [f"{job}: {problem}" for problem, job in await cur.fetchall()]
