"""Who a database login is, for those whose authority is the login: the command line and daemons' chores."""

from typing import Any

from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller

Conn = AsyncConnection[dict[str, Any]]

_LOGIN = b"""
select m.team_id, m.project_ids, coalesce(m.everywhere, false) as everywhere,
  %s || ':' || session_user as actor
from outbox.me() m
"""


async def caller(conn: Conn, door: str) -> Caller:
    """What `outbox.me()` says it may; `door` names the actor, as in `cli:<login>`."""
    return await rows.one(await conn.execute(_LOGIN, (door,)), Caller)
