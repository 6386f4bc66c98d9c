"""Reading events back: GET /v1/events, one event, and what followed from it."""

from collections.abc import Sequence

import msgspec

from outboxd.api import cursors, queries, tenancy, wire
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.model import Event, epoch
from outboxd.model.events import EventPage, EventReply, Timeline
from outboxd.store import events
from outboxd.store.events import EventFilter

LIST_QUERY = frozenset(
    [
        "projectId",
        "eventType",
        "sessionId",
        "contentSessionId",
        "sourceType",
        "platformSource",
        "subject",
        "requestId",
        "since",
        "until",
        "hasFailedJob",
        "include",
        "order",
        "limit",
        "cursor",
    ]
)
_MOST_TYPES = 20
_MOST_BYTES = 4 * 1024 * 1024
_TIMELINE = 500


async def listed(exchange: Exchange) -> Reply:
    """GET /v1/events: newest first, bodies only where they are asked for"""
    where = await _filter(exchange)
    limit = queries.limit(exchange)
    bodies = queries.choice(exchange, "include", {"payload"}) is not None
    ascending = queries.choice(exchange, "order", {"asc", "desc"}) == "asc"
    after = cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        found = await events.listed(
            conn,
            exchange.caller,
            where,
            after=after,
            ascending=ascending,
            bodies=bodies,
            limit=limit + 1,
        )
    page = _cut(found[:limit])
    more = len(found) > len(page)
    return x.json(EventPage(events=page, next_cursor=cursors.write(exchange, page[-1].id) if more else None))


async def one(exchange: Exchange) -> Reply:
    """GET /v1/events/{id}: one event, with its bodies"""
    return x.json(EventReply(event=await _seen(exchange)))


async def timeline(exchange: Exchange) -> Reply:
    """GET /v1/events/{id}/timeline: what followed from it, oldest first"""
    event = await _seen(exchange)
    audit = exchange.key is not None and "audit:read" in exchange.key.effective
    async with exchange.api.db.connection() as conn:
        found = await events.timeline(conn, event.id, audit=audit, limit=_TIMELINE + 1)
    entries = [{"atEpoch": epoch(entry.at), "kind": entry.kind, **entry.said} for entry in found[:_TIMELINE]]
    return x.json(Timeline(event_id=event.id, entries=entries, truncated=len(found) > _TIMELINE))


async def _seen(exchange: Exchange) -> Event:
    event = tenancy.path_id(exchange)
    if event is not None:
        async with exchange.api.db.connection() as conn:
            found = await events.of_ids(conn, exchange.caller, [event])
        if found:
            return found[0]
    raise await tenancy.refuse(exchange, "Event", event)


async def _filter(exchange: Exchange) -> EventFilter:
    platform = queries.text(exchange, "platformSource", 64)
    return EventFilter(
        project=await tenancy.asked_project(exchange),
        types=_types(exchange),
        session=queries.ident(exchange, "sessionId"),
        content_session=queries.text(exchange, "contentSessionId"),
        adapter=queries.text(exchange, "sourceType", 64),
        platform=wire.platform_of(platform),
        subject=queries.text(exchange, "subject", 255),
        request=queries.text(exchange, "requestId", 64),
        since=queries.time(exchange, "since"),
        until=queries.time(exchange, "until"),
        dead=queries.flag(exchange, "hasFailedJob", default=False),
    )


def _types(exchange: Exchange) -> Sequence[str] | None:
    given = queries.text(exchange, "eventType", 8192)
    if given is None:
        return None
    types = [part.strip() for part in given.split(",")]
    if len(types) > _MOST_TYPES or any(not 1 <= len(one) <= 255 for one in types):
        raise queries.refused("eventType", f"at most {_MOST_TYPES} types of 1 to 255 characters")
    return types


def _cut(page: list[Event]) -> list[Event]:
    """As many as 4 MiB hold, one at least."""
    room = _MOST_BYTES
    for n, event in enumerate(page):
        room -= _size(event.payload) + _size(event.metadata)
        if room < 0 and n:
            return page[:n]
    return page


def _size(part: msgspec.Raw | msgspec.UnsetType) -> int:
    return len(part) if isinstance(part, msgspec.Raw) else 0
