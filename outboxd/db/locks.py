"""Advisory locks, tried and never waited for.

A statement that waits for an advisory lock holds a snapshot, and `create index concurrently` in the
holder waits for every snapshot: together they wait for ever. So we ask, sleep, and ask again.
"""

import asyncio
import time
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

WORKER = 28514
"""First half of the key of a worker's lock; the second is its `lock_no`."""
MIGRATION = (28515, 0)

_POLL = 0.1


async def take(conn: AsyncConnection[Any], key: tuple[int, int], wait: timedelta) -> bool:
    """Whether the session has the lock, asked for as long as `wait`, once at least.

    It is held until the connection ends, so the connection must be a direct one.
    """
    deadline = time.monotonic() + wait.total_seconds()
    while not await try_session(conn, key):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL)
    return True


async def try_session(conn: AsyncConnection[Any], key: tuple[int, int]) -> bool:
    """Whether the session has the lock now. A session that asks twice has it twice."""
    return await _ask(conn, b"pg_try_advisory_lock", key)


async def try_transaction(conn: AsyncConnection[Any], key: tuple[int, int]) -> bool:
    """Whether this transaction has the lock, until it ends. Works through a transaction pooler.

    Re-entrant: it keeps out other transactions, not a second look in this one.
    """
    return await _ask(conn, b"pg_try_advisory_xact_lock", key)


async def _ask(conn: AsyncConnection[Any], function: bytes, key: tuple[int, int]) -> bool:
    # Values, not parameters: nothing is prepared, whatever stands between us and the server.
    asked = b"select 1 where %s(%d, %d)" % (function, *key)
    cur = await conn.execute(asked, prepare=False)
    return await cur.fetchone() is not None
