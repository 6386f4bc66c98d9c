"""The feed as subscribers read it: where it stands, which rows follow a number, and what they say.

`sequenced_at` never falls within a project, so a read that begins at the time of a row that was seen
opens no partition before it.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

EVER = datetime(1970, 1, 1, tzinfo=UTC)

_RESOLVE = b"select * from outbox.resolve_position(%s, %s, %s)"
_STANDINGS = b"""
select s.project_id, p.team_id, s.epoch::text as epoch, s.floor, s.head, s.sequenced_at
from unnest(%s::uuid[]) u (id)
cross join lateral (select x.* from outbox.streams x where x.project_id = u.id offset 0) s
join outbox.projects p on p.id = s.project_id
"""
_ROWS = b"""
select f.seq, f.sequenced_at, f.event_id, f.type, f.bytes
from outbox.feed f
where f.project_id = %s and f.seq > %s and f.seq <= %s and f.sequenced_at >= %s
order by f.seq limit %s
"""
_PENDING = b"""
select count(*)::int as n
from (select from outbox.pending p where p.project_id = %s order by p.id limit 10000) x
"""
_RESET = f"select outbox.reset_stream({CALLER}, %s) as position".encode()


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A feed as it stood when it was asked."""

    project_id: UUID
    team_id: UUID
    epoch: str
    floor: int
    """This number and those below are gone."""
    head: int
    sequenced_at: datetime
    """Nothing after `head` was numbered before."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Where a reader begins."""

    team_id: UUID
    epoch: str
    seq: int
    floor: int
    head: int
    sequenced_at: datetime
    """Of the head."""
    reason: str | None
    """Why that is not where it asked to: expired, ahead, epoch, invalid."""


class Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the feed."""

    seq: int
    sequenced_at: datetime
    event_id: UUID
    type: str
    bytes: int
    """Of its payload, about."""


async def resolve(conn: Conn, project: UUID, position: str | None, on_gap: str) -> Start | None:
    """Where a reader that was at `position` goes on; None: no such project."""
    return await rows.maybe(await conn.execute(_RESOLVE, (project, position, on_gap)), Start)


async def standings(conn: Conn, projects: Collection[UUID]) -> dict[UUID, Standing]:
    """Of those that exist."""
    found = await rows.many(await conn.execute(_STANDINGS, (list(projects),)), Standing)
    return {each.project_id: each for each in found}


async def after(
    conn: Conn, project: UUID, seq: int, upto: int, since: datetime, limit: int
) -> Sequence[Numbered]:
    """Rows (seq, upto], none of which was numbered before `since`."""
    cur = await conn.execute(_ROWS, (project, seq, upto, since, limit))
    return await rows.many(cur, Numbered)


async def pending(conn: Conn, project: UUID) -> int:
    """Committed and not numbered yet; counted to 10,000."""
    return await rows.value(await conn.execute(_PENDING, (project,)), int)


async def reset(conn: Conn, caller: Caller, project: UUID) -> str:
    """The position under a new epoch, to which no earlier one leads. Raises Forbidden, NotFound."""
    return await rows.value(await conn.execute(_RESET, (row(caller), project)), str)
