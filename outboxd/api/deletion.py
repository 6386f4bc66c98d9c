"""What is deleted for good: one memory, many, a project's, and the content of an event."""

import asyncio
import time
from datetime import timedelta
from uuid import UUID

import msgspec

from outboxd.api import exchange as x
from outboxd.api import json_checks, memories, memory_wire, queries, tenancy
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.memory_wire import ForgetIn
from outboxd.api.wire import uuid_of
from outboxd.db.link import Link
from outboxd.db.pool import Database
from outboxd.errors import Invalid, NotFound
from outboxd.handlers.memory.privacy import PRIVATE, strip_text
from outboxd.model import Caller
from outboxd.model.observations import ExpungeCounts, Expunged, Forgotten, MemoryDeleted, Purged
from outboxd.store import deletion
from outboxd.store.deletion import DONE, Forgetting, Purge

_SCOPE = "memories:write"
_WITHIN = timedelta(seconds=25)
"""Of one request; then the sweeper goes on."""
_BATCH = timedelta(seconds=20)
_AGAIN = 0.05


async def memory(exchange: Exchange) -> Reply:
    """It is gone, and with `expunge` the events that it came from alone."""
    found, expunge = tenancy.path_id(exchange), queries.flag(exchange, "expungeSource", default=False)
    if found is None:
        raise NotFound("Memory not found")
    gone = found

    async def effect(conn: Link) -> int:
        return await deletion.memory(conn, tenancy.by_key(exchange, _SCOPE), gone, expunge=expunge)

    try:
        await exchange.api.db.run(effect)
    except NotFound:
        raise await memories.refusal(exchange, found) from None
    return x.json(MemoryDeleted(deleted=True, id=found))


def _query(text: str) -> str:
    """As it stands: without its private spans it would mean more, and the trail keeps what was deleted by."""
    if strip_text(text, PRIVATE)[1]:
        raise json_checks.refused("private spans are stored nowhere", ("filter", "query"))
    return text


async def forget(exchange: Exchange) -> Reply:
    """All that the filter means, oldest first."""
    asked: ForgetIn = exchange.body
    project = await tenancy.written_project(exchange, asked.project_id)
    given = msgspec.structs.asdict(asked.filter)
    if all(said is None for said in given.values()):
        raise Invalid("filter: at least one member")
    ids = (
        None
        if asked.filter.ids is None
        else [uuid_of(one) or memory_wire.NOBODYS for one in asked.filter.ids]
    )
    where = memory_wire.where(asked.filter, ids).document
    if asked.filter.query is not None:
        where["query"] = _query(asked.filter.query)

    async def effect(conn: Link) -> Forgetting:
        return await deletion.forget(
            conn,
            tenancy.by_key(exchange, _SCOPE),
            project,
            where,
            expunge=bool(asked.expunge_events),
            dry_run=bool(asked.dry_run),
            limit=asked.limit or memory_wire.FORGET_LIMIT,
        )

    done = await exchange.api.db.run(effect)
    return x.json(
        Forgotten(
            dry_run=bool(asked.dry_run),
            matched=done.matched,
            deleted=done.deleted,
            expunged_events=done.expunged_events,
            remaining=done.matched - done.deleted,
            sample=done.sample,
        )
    )


async def event(exchange: Exchange) -> Reply:
    """Its content is gone; its place in the feed stays."""
    found = tenancy.path_id(exchange)
    keep = queries.choice(exchange, "observations", {"keep", "delete"}) == "keep"
    if found is None:
        raise NotFound("Event not found")
    blanked = found

    async def effect(conn: Link) -> ExpungeCounts:
        return await deletion.event(conn, tenancy.by_key(exchange, _SCOPE), blanked, keep=keep)

    try:
        counts = await exchange.api.db.run(effect)
    except NotFound:
        raise await tenancy.refuse(exchange, "Event", found) from None
    return x.json(Expunged(expunged=True, id=found, counts=counts))


async def project(exchange: Exchange) -> Reply:
    """Everything that it remembers; at once invisible, and gone when this says so."""
    found = tenancy.path_id(exchange)
    own = exchange.key.project_id if exchange.key else None
    if own is None:
        await tenancy.need_project(exchange, found)
    elif found != own:
        raise await tenancy.refuse(exchange, "Project", found)
    assert found is not None  # noqa: S101 - what is not well formed is nobody's project
    if queries.flag(exchange, "dryRun", default=False):
        async with exchange.api.db.connection() as conn:
            counts = await deletion.purge_counts(conn, exchange.caller, found)
        return x.json(Purged(purged=False, project_id=found, counts=counts, dry_run=True))
    purge = await purged(exchange.api.db, tenancy.by_key(exchange, _SCOPE), found, _WITHIN)
    if purge.step == DONE:
        return x.json(Purged(purged=True, project_id=found, counts=purge.counts))
    return x.json(Purged(purged=False, project_id=found, counts=purge.counts, in_progress=True), 202)


async def purged(db: Database, caller: Caller, project: UUID, within: timedelta) -> Purge:
    """As far as it came within that time, or one batch more. Its mark is committed first, alone."""
    until = time.monotonic() + within.total_seconds()
    purge = await db.run(lambda conn: deletion.begin_purge(conn, caller, project))
    while purge.step < DONE and time.monotonic() < until:
        further = await db.run(lambda conn: deletion.continue_purge(conn, project), _BATCH)
        if further is None:
            await asyncio.sleep(_AGAIN)
        purge = further or purge
    return purge
