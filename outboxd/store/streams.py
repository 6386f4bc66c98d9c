"""Numbering what is committed, and giving keyed jobs their places."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.store.queues import Due

Conn = AsyncConnection[dict[str, Any]]

MOST_PROJECTS = 50
"""Of one call of `sequence`."""

# A loose index scan: one probe a project, however many rows wait.
_PENDING = b"""
with recursive waiting as (
  (select project_id from outbox.pending order by project_id limit 1)
  union all
  select (select p.project_id from outbox.pending p where p.project_id > w.project_id
    order by p.project_id limit 1)
  from waiting w where w.project_id is not null
)
select project_id from waiting where project_id is not null limit %s
"""
_UNPLACED = b"select distinct project_id from outbox.unplaced limit %s"
_SEQUENCE = b"select * from outbox.sequence(%s::uuid[], %s, %s::bigint[])"
_PLACE = b"select * from outbox.place(%s, %s)"
_NEXT = b"select min(first_seq) as next from outbox.unplaced where project_id = %s"


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that got new numbers."""

    project_id: UUID
    head: int
    numbered: int
    keyed: int
    """How many of them have jobs that wait for their places."""
    last_id: int
    """The highest id of `pending` that was numbered."""


async def pending(conn: Conn, limit: int = 1000) -> list[UUID]:
    """Projects with events that have no number."""
    return await rows.values(await conn.execute(_PENDING, [limit]), UUID)


async def unplaced(conn: Conn, limit: int = 1000) -> list[UUID]:
    """Projects with numbered events whose keyed jobs have no place."""
    return await rows.values(await conn.execute(_UNPLACED, [limit]), UUID)


async def sequence(
    conn: Conn, projects: Sequence[UUID], limit: int = 1000, since: Mapping[UUID, int] | None = None
) -> list[Grown]:
    """Numbers up to `limit` events of each of ≤ 50 projects; one that somebody else numbers is skipped.

    `since` (project → id in `pending`) spares a look at what is older, and so may miss what is
    committed late: look without it, too.
    """
    hints = [(since or {}).get(project, 0) for project in projects]
    cur = await conn.execute(_SEQUENCE, [list(projects), limit, hints])
    return await rows.many(cur, Grown)


async def place(conn: Conn, project: UUID, limit: int = 500) -> list[Due]:
    """Puts one numbered batch of the project into its lanes, unless somebody else is doing so."""
    return await rows.many(await conn.execute(_PLACE, [project, limit]), Due)


async def next_unplaced(conn: Conn, project: UUID) -> int | None:
    """The first number of the project that waits to be placed; None when all is placed."""
    cur = await conn.execute(_NEXT, [project])
    row = await cur.fetchone()
    return row["next"] if row else None
