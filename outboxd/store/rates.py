"""Fixed windows of a minute, shared by all processes: how much of one somebody has used."""

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

# A window that is newer than ours was opened while we waited for its row: what we take counts there.
_TAKE = b"""
insert into outbox.rate_windows as w (subject, kind, window_at, used)
values (%s, %s, date_trunc('minute', outbox.clock()), %s)
on conflict (subject, kind) do update set window_at = greatest(w.window_at, excluded.window_at),
  used = excluded.used + case when w.window_at >= excluded.window_at then w.used else 0 end
returning w.used, extract(epoch from w.window_at)::bigint + 60 as ends,
  ceil(extract(epoch from w.window_at + interval '1 min' - outbox.clock()))::int as seconds
"""
_FORGET = b"""
delete from outbox.rate_windows w where w.ctid = any (array(
  select o.ctid from outbox.rate_windows o where o.window_at < (select outbox.clock()) - interval '1 day'
  limit %s for update skip locked))
"""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    used: int
    """What was just taken included."""
    ends: int
    """Unix seconds."""
    seconds: int
    """Until then."""


async def take(conn: Conn, subject: UUID, kind: str, cost: int) -> Window:
    """Counts `cost` of `subject` (a key or a project) in the window that is open; one statement."""
    return await rows.one(await conn.execute(_TAKE, (subject, kind, cost)), Window)


async def forget(conn: Conn, limit: int = 5000) -> int:
    """How many windows were dropped that nobody has used for a day."""
    return (await conn.execute(_FORGET, (limit,))).rowcount
