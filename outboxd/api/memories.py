"""Memories: POST, GET, PATCH, DELETE /v1/memories, and what was recorded about one event."""

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from msgspec import UNSET

from outboxd.api import cursors, idempotency, memory_wire, queries, revisions, tenancy
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.memory_wire import MemoryIn, PatchIn
from outboxd.api.reads import note_read
from outboxd.api.wire import platform_of
from outboxd.db.link import Link
from outboxd.errors import Error
from outboxd.model.observations import (
    EventMemories,
    Memory,
    MemoryInFull,
    MemoryInFullReply,
    MemoryPage,
    MemoryReply,
)
from outboxd.store import events, observations
from outboxd.store.observations import MemoryFilter
from outboxd.store.search import SearchQuery

LIST_QUERY = frozenset(
    [
        "projectId",
        "kind",
        "since",
        "until",
        "platformSource",
        "sessionId",
        "file",
        "concept",
        "limit",
        "cursor",
    ]
)
WRITERS = ("memories:write", "events:write")
_MOST_KINDS = 20
_MOST_BYTES = 4 * 1024 * 1024
M = TypeVar("M", bound=Memory)


async def write(exchange: Exchange) -> Reply:
    """What a person or an agent wants remembered; it makes no job."""
    asked: MemoryIn = exchange.body
    project = await tenancy.written_project(exchange, asked.project_id)
    given = await memory_wire.given(exchange, asked, project)
    assert exchange.key is not None  # noqa: S101 - the auth layer let nobody else in
    scope = next((scope for scope in WRITERS if scope in exchange.key.effective), WRITERS[0])

    async def effect(conn: Link) -> Reply:
        made, fresh = await observations.write(conn, tenancy.by_key(exchange, scope), given)
        return x.json(MemoryReply(memory=made, duplicate=UNSET if fresh else True), 201 if fresh else 200)

    return await idempotency.once(exchange, effect, scope=project)


async def listed(exchange: Exchange) -> Reply:
    """Memories, newest first."""
    project, where = await tenancy.asked_project(exchange), _filter(exchange)
    limit, after = queries.limit(exchange), cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        found = await observations.recent(
            conn, exchange.caller, project=project, where=where, after=after, limit=limit + 1
        )
    page = _cut(found[:limit])
    asked = SearchQuery(project=project, where=where, limit=limit) if project else None
    await note_read(exchange, "recent", page, asked=asked)
    more = page[-1].id if len(found) > len(page) else None
    return x.json(MemoryPage(memories=page, next_cursor=cursors.write(exchange, more)))


async def one(exchange: Exchange) -> Reply:
    """One memory, with what it was made from."""
    found = await _seen(exchange)
    await note_read(exchange, "get", [found])
    return x.json(MemoryInFullReply(memory=found))


async def change(exchange: Exchange) -> Reply:
    """Content, kind or metadata, each replaced whole; found by its new words from then on."""
    patch: PatchIn = exchange.body
    before = await _seen(exchange)
    changes = await memory_wire.changes(exchange, before.project_id, patch)
    revision = revisions.wanted(exchange)

    async def effect(conn: Link) -> Memory:
        by = tenancy.by_key(exchange, "memories:write")
        return await observations.change(conn, by, before.id, changes, revision)

    return x.json(MemoryReply(memory=await exchange.api.db.run(effect)))


async def of_event(exchange: Exchange) -> Reply:
    """What was recorded about one event, oldest first."""
    event = tenancy.path_id(exchange)
    limit, after = queries.number(exchange, "limit", 1, 200, 200), cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        if event is None or not await events.of_ids(conn, exchange.caller, [event]):
            raise await tenancy.refuse(exchange, "Event", event)
        found = await observations.of_event(conn, exchange.caller, event, after=after, limit=limit + 1)
    page = _cut(found[:limit])
    await note_read(exchange, "event_observations", page)
    more = page[-1].id if len(found) > len(page) else None
    shown = EventMemories(event_id=event, observations=page, next_cursor=cursors.write(exchange, more))
    return x.json(shown)


async def _seen(exchange: Exchange) -> MemoryInFull:
    memory = tenancy.path_id(exchange)
    if memory is not None:
        async with exchange.api.db.connection() as conn:
            found = await observations.of_ids(conn, exchange.caller, [memory])
        if found:
            return found[0]
    raise await refusal(exchange, memory)


async def refusal(exchange: Exchange, memory: UUID | None) -> Error:
    """Why a memory is not given: another's, or none at all."""
    return await tenancy.refuse(exchange, "Memory", memory)


def _filter(exchange: Exchange) -> MemoryFilter:
    kinds = queries.text(exchange, "kind", 2000)
    named = None if kinds is None else [kind.strip() for kind in kinds.split(",")]
    if named is not None and (len(named) > _MOST_KINDS or any(not 1 <= len(kind) <= 64 for kind in named)):
        raise queries.refused("kind", f"at most {_MOST_KINDS} kinds of 1 to 64 characters")
    return MemoryFilter(
        kinds=named,
        since=queries.time(exchange, "since"),
        until=queries.time(exchange, "until"),
        session=queries.ident(exchange, "sessionId"),
        platform=platform_of(queries.text(exchange, "platformSource", 64)),
        file=queries.text(exchange, "file"),
        concept=queries.text(exchange, "concept", 100),
    )


def _cut(page: Sequence[M]) -> list[M]:
    """As many as 4 MiB hold, one at least."""
    room = _MOST_BYTES
    for n, memory in enumerate(page):
        room -= len(memory.content.encode()) + len(memory.metadata)
        if room < 0 and n:
            return list(page[:n])
    return list(page)
