"""Jobs that gather events: what a worker does before it reads which ones are its own.

close: settle_in ─▶ closed ──▶ members
       every event committed before is placed; nothing joins any more; what the job works on
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.db.pool import Database
from outboxd.errors import Unavailable
from outboxd.store import streams

Conn = AsyncConnection[dict[str, Any]]

log = structlog.get_logger()

_PATIENCE = timedelta(seconds=5)
_PAUSE = 0.02
_LANE_WAIT = timedelta(seconds=1)
# A loop over keys: the plan must not walk the table.
_OPEN = b"""
select distinct g.project_id from unnest(%s::uuid[]) u(id)
cross join lateral (select g.project_id from outbox.gatherings g where g.job_id = u.id offset 0) g
"""
_CLOSE = (
    b"select count(*) filter (where outbox.close_gathering(u.id))::int as n from unnest(%s::uuid[]) u(id)"
)
# In feed order. A job without members works on its own event.
_MEMBERS = b"""
select u.event_id from (
  select m.event_id, m.seq from outbox.members m where m.job_id = %(job)s
  union all
  select j.event_id, 0 from outbox.jobs j where j.id = %(job)s and j.event_id is not null
    and not exists (select from outbox.members m where m.job_id = %(job)s)) u
order by u.seq
"""
# The oldest ones are looked at, whose jobs go first: ids are in the order of their making.
_FORGET = b"""
delete from outbox.members d where d.ctid = any (array(
  select m.ctid from (select m.ctid, m.job_id from outbox.members m order by m.job_id limit %s) m
  where not exists (select from outbox.jobs j where j.id = m.job_id offset 0)))
"""
_LAST = b"select max(id) as last from outbox.pending where project_id = %s"
# Numbered up to there, and nothing of that waits for its place?
_UNNUMBERED = b"select exists (select from outbox.pending where project_id = %s and id <= %s) as waits"
_HEAD = b"select head from outbox.streams where project_id = %s"
_UNPLACED = b"select exists (select from outbox.unplaced where project_id = %s and first_seq <= %s) as waits"


async def close(db: Database, jobs: Sequence[UUID]) -> int:
    """Every event that was committed before is in; from here on nothing joins. How many were open."""
    async with db.connection() as conn:
        projects = await rows.values(await conn.execute(_OPEN, [list(jobs)]), UUID)
    for project in projects:
        await settle_in(db, project)
    if not projects:
        return 0
    async with db.transaction() as conn:
        return await rows.value(await conn.execute(_CLOSE, [list(jobs)]), int)


async def settle_in(db: Database, project: UUID, patience: timedelta = _PATIENCE) -> bool:
    """Numbers and places what was committed in the project before the call; whether all of it is.

    Others may be numbering or placing at the same time: they are waited for, so long. What is not placed by
    then is not lost: it joins the next job.
    """
    until = time.monotonic() + patience.total_seconds()
    numbered = await _numbered(db, project, until)
    if numbered and await _placed(db, project, until):
        return True
    log.warning("events not gathered in time", project=project)
    return False


async def members(conn: Conn, job: UUID) -> list[UUID]:
    """The events it works on, in feed order."""
    return await rows.values(await conn.execute(_MEMBERS, {"job": job}), UUID)


async def forget(conn: Conn, limit: int = 5000) -> int:
    """How many members were dropped whose jobs are gone."""
    return (await conn.execute(_FORGET, [limit])).rowcount


async def _numbered(db: Database, project: UUID, until: float) -> bool:
    async with db.connection() as conn:
        found = await (await conn.execute(_LAST, [project])).fetchone()
    last = found["last"] if found else None
    while last is not None:
        await db.run(lambda conn: streams.sequence(conn, [project]))
        async with db.connection() as conn:
            if not await rows.value(await conn.execute(_UNNUMBERED, [project, last]), bool):
                return True
        if time.monotonic() > until:
            return False
        await asyncio.sleep(_PAUSE)
    return True


async def _placed(db: Database, project: UUID, until: float) -> bool:
    async with db.connection() as conn:
        found = await (await conn.execute(_HEAD, [project])).fetchone()
    head = found["head"] if found else 0
    while True:
        async with db.connection() as conn:
            if not await rows.value(await conn.execute(_UNPLACED, [project, head]), bool):
                return True
        if time.monotonic() > until:
            return False
        if not await _place(db, project):
            await asyncio.sleep(_PAUSE)


async def _place(db: Database, project: UUID) -> bool:
    """Whether that got on; not while somebody else places, or holds a lane."""
    try:
        async with db.transaction(lock_timeout=_LANE_WAIT) as conn:
            before = await streams.next_unplaced(conn, project)
            await streams.place(conn, project)
            return before != await streams.next_unplaced(conn, project)
    except Unavailable:
        return False
