"""Memories by what they say, best first; without a question, by how new they are."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.errors import InvalidCursor
from outboxd.model import Caller
from outboxd.model.observations import ContextReply, Hit
from outboxd.store.callers import CALLER, row
from outboxd.store.observations import SHOWN, VISIBLE, MemoryFilter
from outboxd.store.snippets import snippet

Conn = AsyncConnection[dict[str, Any]]

DEEPEST = 1000
"""Results that the pages of one search show in all."""
_KEPT = timedelta(minutes=10)
"""How long a ranking is gone on with."""

_SEARCH = f"""
select {SHOWN}, f.score, f.relaxed, f.updated_at
from outbox.search({CALLER}, %s, %s, %s, %s, %s, %s) with ordinality f (id, score, relaxed, updated_at, n)
cross join lateral (select o.* from outbox.observations o where o.id = f.id offset 0) o
order by f.n
""".encode()
_NOW = b"select outbox.clock() as now"
_LATEST = f"""
with p as (select * from outbox.find_project({CALLER}, %(project)s)), latest as (
  select {SHOWN}, o.created_at, o.updated_at from (
    select distinct on (coalesce(o.session_id, o.id)) o.* from (
      select o.* from p cross join lateral (
        select o.* from outbox.observations o
        where o.project_id = p.id and o.kind = 'summary' and {VISIBLE}
        order by o.created_at desc limit 200) o) o
    where %(filter)s::jsonb = '{{}}' or outbox.observation_fits(%(filter)s, o.id, o.session_id, o.kind,
      o.platform_source, o.created_at, o.metadata)
    order by coalesce(o.session_id, o.id), o.updated_at desc) o
  order by o.updated_at desc, o.id desc limit (%(limit)s + 1) / 2
), newest as (
  select {SHOWN}, o.created_at, o.updated_at from p cross join lateral (
    select o.* from outbox.observations o
    where o.project_id = p.id and {VISIBLE} and not exists (select from latest l where l.id = o.id)
      and (%(filter)s::jsonb = '{{}}' or outbox.observation_fits(%(filter)s, o.id, o.session_id, o.kind,
        o.platform_source, o.created_at, o.metadata))
    order by o.created_at desc, o.id desc limit %(limit)s) o
)
select * from (
  select 0 as part, l.updated_at as at, l.* from latest l
  union all select 1, n.created_at, n.* from newest n) t
order by t.part, t.at desc, t.id desc limit %(limit)s
""".replace("%s", "%(caller)s", 1).encode()


class Place(msgspec.Struct, frozen=True, kw_only=True, rename="camel", array_like=True):
    """Where a page of results ended."""

    at: datetime
    """When the first page was ranked."""
    depth: int
    """How many results were shown so far."""
    relaxed: bool
    score: float
    updated_at: datetime
    id: UUID


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    project: UUID
    query: str | None = None
    """None or blank, for a context: what is newest."""
    where: MemoryFilter = MemoryFilter()
    min_score: float = 0
    limit: int = 20
    after: Place | None = None


class Results(msgspec.Struct, frozen=True, kw_only=True):
    observations: list[Hit]
    next: Place | None
    """None: that was all, or deep enough."""


async def search(conn: Conn, caller: Caller, asked: SearchQuery) -> Results:
    """Best first. Raises NotFound for a project that the caller does not see; no query raises anything."""
    shown = asked.after.depth if asked.after else 0
    limit = min(asked.limit, DEEPEST - shown)
    now = await rows.value(await conn.execute(_NOW), datetime)
    at = asked.after.at if asked.after else now
    if now - at > _KEPT:
        raise InvalidCursor("the cursor is older than 10 minutes: search again")
    found = await _found(conn, caller, asked, at, limit)
    page = found[:limit]
    text = asked.query or ""
    hits = [_hit(each, text) for each in page]
    if len(found) <= limit or shown + limit >= DEEPEST:
        return Results(observations=hits, next=None)
    last = page[-1]
    place = Place(
        at=at,
        depth=shown + len(page),
        relaxed=last["relaxed"],
        score=last["score"],
        updated_at=last["updated_at"],
        id=last["id"],
    )
    return Results(observations=hits, next=place)


async def context(conn: Conn, caller: Caller, asked: SearchQuery, token_budget: int = 8000) -> ContextReply:
    """What an agent may want to be told, best or newest first, and as one text within the budget."""
    if asked.query is None or not asked.query.strip():
        found = await _newest(conn, caller, asked)
    else:
        found = (await search(conn, caller, asked)).observations
    text, truncated = _fitted([hit.content for hit in found], token_budget * 4)
    return ContextReply(
        observations=found,
        context=text,
        tokens_estimated=-(-len(text.encode()) // 4),
        truncated=truncated,
    )


async def _found(
    conn: Conn, caller: Caller, asked: SearchQuery, at: datetime, limit: int
) -> list[dict[str, Any]]:
    place = asked.after
    after = None
    if place is not None:
        after = {
            "score": place.score,
            "updatedAt": place.updated_at,
            "id": place.id,
            "relaxed": place.relaxed,
        }
    where = asked.where.document | {"minScore": asked.min_score}
    given = (asked.project, asked.query, Jsonb(where), limit, at)
    values = (row(caller), *given, None if after is None else Jsonb(msgspec.to_builtins(after)))
    return await (await conn.execute(_SEARCH, values)).fetchall()


async def _newest(conn: Conn, caller: Caller, asked: SearchQuery) -> list[Hit]:
    values = {
        "caller": row(caller),
        "project": asked.project,
        "filter": Jsonb(asked.where.document),
        "limit": asked.limit,
    }
    return await rows.many(await conn.execute(_LATEST, values), Hit)


def _hit(found: dict[str, Any], query: str) -> Hit:
    hit = rows.struct(found, Hit)
    return msgspec.structs.replace(hit, snippet=snippet(hit.content, query))


def _fitted(contents: list[str], room: int) -> tuple[str, bool]:
    """As many as fit, joined by a blank line; of the one that does not, as many whole lines as do.

    Where that would be nothing at all, the first is cut within a line: hits are never an empty text.
    """
    kept: list[str] = []
    for content in contents:
        room -= len(content.encode()) + (2 if kept else 0)
        if room < 0:
            room += len(content.encode())
            head = _head(content, room)
            if not kept and not head:
                head = content.lstrip().encode()[:room].decode(errors="ignore").rstrip()
            return "\n\n".join([*kept, head] if head else kept), True
        kept.append(content)
    return "\n\n".join(kept), False


def _head(content: str, room: int) -> str:
    """Whole lines of it within so many bytes."""
    kept: list[str] = []
    for line in content.split("\n"):
        room -= len(line.encode()) + (1 if kept else 0)
        if room < 0:
            break
        kept.append(line)
    return "\n".join(kept).rstrip()
