"""What is deleted for good: memories, the content of events, everything that a project remembers."""

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.model.observations import ExpungeCounts, PurgeCounts
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

DONE = 5
"""The step of a purge that is over."""
_DELETE = f"select outbox.delete_memory({CALLER}, %s, %s)".encode()
_EXPUNGE = f"select * from outbox.expunge_event({CALLER}, %s, %s)".encode()
_FORGET = f"select * from outbox.forget({CALLER}, %s, %s, %s, %s, %s)".encode()
_BEGIN = f"select * from outbox.begin_purge({CALLER}, %s)".encode()
_CONTINUE = b"select * from outbox.continue_purge(%s, %s)"
_COUNTS = f"select * from outbox.purge_counts({CALLER}, %s)".encode()
_UNFINISHED = b"select p.project_id from outbox.purges p where p.step < 5 order by p.project_id limit %s"
_RETAIN = b"select outbox.retain_memory(%s)"


class Forgetting(msgspec.Struct, frozen=True, kw_only=True):
    matched: int
    """At most 100,000 are counted."""
    deleted: int
    expunged_events: int
    sample: list[UUID]


class Purge(PurgeCounts, frozen=True, kw_only=True):
    """How far it is."""

    project_id: UUID
    step: int

    @property
    def counts(self) -> PurgeCounts:
        return PurgeCounts(
            observations=self.observations,
            agent_events=self.agent_events,
            sessions=self.sessions,
            jobs=self.jobs,
        )


async def memory(conn: Conn, caller: Caller, found: UUID, *, expunge: bool) -> int:
    """How many events were expunged with it. Raises NotFound, ProjectArchived."""
    return await rows.value(await conn.execute(_DELETE, (row(caller), found, expunge)), int)


async def event(conn: Conn, caller: Caller, found: UUID, *, keep: bool) -> ExpungeCounts:
    """Blanks it; `keep`: observations that come from it alone stay. Raises NotFound, ProjectArchived."""
    return await rows.one(await conn.execute(_EXPUNGE, (row(caller), found, keep)), ExpungeCounts)


async def forget(
    conn: Conn,
    caller: Caller,
    project: UUID,
    where: dict[str, Any],
    *,
    expunge: bool,
    dry_run: bool,
    limit: int,
) -> Forgetting:
    """`where`: the document of a MemoryFilter, and `query`. Raises Invalid for an empty one, NotFound."""
    values = (row(caller), project, Jsonb(where), expunge, dry_run, limit)
    return await rows.one(await conn.execute(_FORGET, values), Forgetting)


async def begin_purge(conn: Conn, caller: Caller, project: UUID) -> Purge:
    """From the commit on nobody reads what is older. Raises NotFound, ProjectArchived."""
    return await rows.one(await conn.execute(_BEGIN, (row(caller), project)), Purge)


async def continue_purge(conn: Conn, project: UUID, limit: int = 5000) -> Purge | None:
    """One more batch; None: somebody else is at it."""
    found = await (await conn.execute(_CONTINUE, (project, limit))).fetchone()
    return None if found is None or found["project_id"] is None else rows.struct(found, Purge)


async def purge_counts(conn: Conn, caller: Caller, project: UUID) -> PurgeCounts:
    """What a purge would take. Raises NotFound."""
    return await rows.one(await conn.execute(_COUNTS, (row(caller), project)), PurgeCounts)


async def unfinished(conn: Conn, limit: int) -> list[UUID]:
    """Projects whose purge goes on."""
    return await rows.values(await conn.execute(_UNFINISHED, (limit,)), UUID)


async def retain(conn: Conn, limit: int) -> int:
    """How much went that was older than its project keeps it."""
    return await rows.value(await conn.execute(_RETAIN, (limit,)), int)
