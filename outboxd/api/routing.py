"""Which events make a job in which queue: the rows of `routes`."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from outboxd.api import cursors, idempotency, queries, tenancy
from outboxd.api import exchange as x
from outboxd.api.direct_jobs import QueueName
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import decode
from outboxd.api.wire import Named
from outboxd.db.link import Link
from outboxd.errors import Forbidden, Invalid, NotFound, Refused
from outboxd.store import routes
from outboxd.store.routes import Match, Route

LIST_QUERY = frozenset({"projectId", "limit", "cursor"})
MATCH_QUERY = frozenset({"projectId", "type", "payload"})
_GLOBAL_ONLY = "API key is not bound to a team"
_PAYLOAD = msgspec.json.Decoder()
_LONGEST = 4096


class RouteOptions(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """Null is the default."""

    enabled: bool | UnsetType | None = UNSET
    """False: where it decides, no job is made."""
    contains: dict[str, Any] | UnsetType | None = UNSET
    """Only events whose payload contains this, at most 4 KiB."""
    priority: Annotated[int, Meta(ge=-100, le=100)] | UnsetType | None = UNSET
    delay_ms: Annotated[int, Meta(ge=0, le=31_622_400_000)] | UnsetType | None = UNSET
    max_attempts: Annotated[int, Meta(ge=1, le=100)] | UnsetType | None = UNSET
    timeout_ms: Annotated[int, Meta(ge=1000, le=86_400_000)] | UnsetType | None = UNSET
    ordered: bool | UnsetType | None = UNSET
    """Its jobs take the event's ordering key."""


class RouteIn(RouteOptions, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pattern: Named
    """A type, `a.b.*` or `*`."""
    queue: QueueName
    project_id: str | None = None
    """None: the key's, else all of the team."""
    handler: Named | None = None
    """Of a queue that is new; else `pull:<queue>`."""


class RoutePatch(RouteOptions, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pattern: Named | UnsetType = UNSET


class RouteReply(msgspec.Struct, frozen=True, kw_only=True):
    route: Route


class RoutePage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    routes: list[Route]
    next_cursor: str | None


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    routes: list[Match]
    """Of those to one queue the one that decides comes first."""


BODY = msgspec.json.Decoder(RouteIn)
CHANGES = msgspec.json.Decoder(RoutePatch)


async def make(exchange: Exchange) -> Reply:
    """POST /v1/routes: events of this type make a job in this queue, from the next one on"""
    given: RouteIn = exchange.body
    project = await _scope(exchange, given.project_id)
    options = _options(given)
    if given.handler is not None:
        options["handler"] = given.handler

    async def write(conn: Link) -> Reply:
        by = tenancy.by_key(exchange, "endpoints:write")
        made = await routes.add(conn, by, given.pattern, given.queue, project, options)
        return x.json(RouteReply(route=await _route(exchange, conn, made)), 201)

    return await idempotency.once(exchange, write, scope=project)


async def listed(exchange: Exchange) -> Reply:
    """GET /v1/routes: those that the caller's events meet, wider ones included, oldest first"""
    project = None
    if exchange.caller.team_id is not None:
        project = await tenancy.asked_project(exchange)
    elif queries.ident(exchange, "projectId") is not None:
        raise Forbidden(_GLOBAL_ONLY)
    limit, after = queries.limit(exchange), cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        found = await routes.page(conn, exchange.caller, project=project, after=after, limit=limit + 1)
    more = found[limit - 1].id if len(found) > limit else None
    return x.json(RoutePage(routes=found[:limit], next_cursor=cursors.write(exchange, more)))


async def change(exchange: Exchange) -> Reply:
    """PATCH /v1/routes/{id}: for events from now on; its queue and scope stay"""
    route, given = await _named(exchange), exchange.body

    async def write(conn: Link) -> Reply:
        by = tenancy.by_key(exchange, "endpoints:write")
        await routes.change(conn, by, route, _options(given))
        return x.json(RouteReply(route=await _route(exchange, conn, route)))

    try:
        return await exchange.api.db.run(write)
    except NotFound:
        raise await tenancy.refuse(exchange, "Route", route) from None


async def remove(exchange: Exchange) -> Reply:
    """DELETE /v1/routes/{id}: it makes no more jobs; those it made stay"""
    route = await _named(exchange)
    by = tenancy.by_key(exchange, "endpoints:write")
    if not await exchange.api.db.run(lambda conn: routes.remove(conn, by, route)):
        raise await tenancy.refuse(exchange, "Route", route)
    return Reply(204, headers=())


async def match(exchange: Exchange) -> Reply:
    """GET /v1/routes/match: the routes that an event would meet, and which of them decide"""
    event_type = queries.text(exchange, "type", 255)
    if event_type is None:
        raise queries.refused("type", "Required", "required")
    payload = _payload(exchange)
    project = await _asked(exchange)
    async with exchange.api.db.connection() as conn:
        return x.json(Matches(routes=await routes.match(conn, project, event_type, payload)))


async def _scope(exchange: Exchange, given: str | None) -> UUID | None:
    """The project it is for; None: all of the key's team, or of an operator's key everybody."""
    if exchange.caller.team_id is None:
        if given is not None:
            raise Forbidden(_GLOBAL_ONLY)
        return None
    if given is None and exchange.caller.project_ids is None:
        return None
    return await tenancy.written_project(exchange, given)


async def _asked(exchange: Exchange) -> UUID:
    if exchange.caller.team_id is None:
        raise Forbidden(_GLOBAL_ONLY)
    own = exchange.key.project_id if exchange.key else None
    project = await tenancy.asked_project(exchange) or own
    if project is None:
        raise queries.refused("projectId", "Required", "required")
    return project


async def _named(exchange: Exchange) -> UUID:
    """The route of the path, if the caller sees it; whether it is theirs is judged where it is changed."""
    route = tenancy.path_id(exchange)
    if route is not None:
        async with exchange.api.db.connection() as conn:
            if await routes.get(conn, exchange.caller, route):
                return route
    raise await tenancy.refuse(exchange, "Route", route)


async def _route(exchange: Exchange, conn: Link, route: UUID) -> Route:
    found = await routes.get(conn, exchange.caller, route)
    if found is None:
        raise NotFound("Route not found")
    return found


def _options(given: RouteOptions) -> dict[str, Any]:
    """By their names in SQL."""
    names = (*RouteOptions.__struct_fields__, "pattern") if isinstance(given, RoutePatch) else None
    said = {name: getattr(given, name) for name in names or RouteOptions.__struct_fields__}
    shown = {field.name: field.encode_name for field in msgspec.structs.fields(RoutePatch)}
    return {shown[name]: value for name, value in said.items() if value is not UNSET}


def _payload(exchange: Exchange) -> Any:
    given = queries.text(exchange, "payload", _LONGEST)
    if given is None:
        return {}
    try:
        return decode(_PAYLOAD, given.encode())
    except (Refused, UnicodeEncodeError) as wrong:
        raise _no_json() from wrong


def _no_json() -> Invalid:
    return queries.refused("payload", "JSON of at most 4 KiB")
