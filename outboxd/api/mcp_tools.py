"""What the tools of /v1/mcp do: read the memory that the key sees."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from outboxd.api import memory_wire, tenancy
from outboxd.api.auth import note
from outboxd.api.exchange import Exchange
from outboxd.api.json_checks import invalid
from outboxd.api.memory_wire import ContextIn
from outboxd.api.reads import note_read
from outboxd.api.wire import SIBLING_PROJECT, uuid_of
from outboxd.errors import Error, Forbidden, Invalid
from outboxd.mcp import reading
from outboxd.mcp.arguments import Arguments, ToolFailure
from outboxd.mcp.reading import MOST_IDS
from outboxd.mcp.tools import Tool
from outboxd.store import observations, tenants
from outboxd.store import search as store
from outboxd.store.observations import MemoryFilter
from outboxd.store.search import SearchQuery

Call = Callable[[Exchange, Arguments], Awaitable[Any]]

_MOST_PROJECTS = 1000
_LONGEST_QUERY = 4000


async def search(exchange: Exchange, given: Arguments) -> Any:
    asked = SearchQuery(
        query=_query(given.needed("query")),
        project=await _project(exchange, given),
        where=_where(reading.filters(given)),
        limit=reading.search_limit(given),
    )
    async with exchange.api.db.connection() as conn:
        found = (await store.search(conn, exchange.caller, asked)).observations
    await note_read(exchange, "search", found, asked=asked, via="mcp")
    return {"observations": found}


async def context(exchange: Exchange, given: Arguments) -> Any:
    query = given.text("query")
    asked = SearchQuery(
        query=None if query is None else _query(query),
        project=await _project(exchange, given),
        where=_where(reading.filters(given)),
        limit=reading.context_limit(given),
    )
    async with exchange.api.db.connection() as conn:
        found = await store.context(conn, exchange.caller, asked, reading.token_budget(given))
    await note_read(exchange, "context", found.observations, asked=asked, via="mcp")
    return {"observations": found.observations, "context": found.context}


async def recent(exchange: Exchange, given: Arguments) -> Any:
    asked = SearchQuery(
        project=await _project(exchange, given),
        where=_where({"kind": given.given.get("kind")}),
        limit=reading.search_limit(given),
    )
    async with exchange.api.db.connection() as conn:
        found = await observations.recent(
            conn, exchange.caller, project=asked.project, where=asked.where, limit=asked.limit
        )
    await note_read(exchange, "recent", found, asked=asked, via="mcp")
    return {"observations": found}


async def get(exchange: Exchange, given: Arguments) -> Any:
    """Those that the key sees, in the order asked; others are left out."""
    ids = [id_ for id_ in map(uuid_of, given.texts("ids", MOST_IDS)) if id_ is not None]
    async with exchange.api.db.connection() as conn:
        found = await observations.of_ids(conn, exchange.caller, list(dict.fromkeys(ids)))
    await note_read(exchange, "get", found, via="mcp")
    return {"observations": found}


async def projects(exchange: Exchange, given: Arguments) -> Any:
    async with exchange.api.db.connection() as conn:
        found = await tenants.projects(conn, exchange.caller, limit=_MOST_PROJECTS)
    return {"projects": [{"id": each.id, "name": each.name} for each in found]}


async def _project(exchange: Exchange, given: Arguments) -> UUID:
    """The one named, else the key's. Raises ToolFailure, Forbidden, NotFound."""
    named = given.text("projectId")
    own = exchange.key.project_id if exchange.key else None
    if named is None:
        if own is None:
            raise ToolFailure('"projectId" is required')
        return own
    project = uuid_of(named)
    if own is not None and project != own:
        raise Forbidden(SIBLING_PROJECT)
    if own is None:
        await tenancy.need_project(exchange, project)
    assert project is not None  # noqa: S101 - nothing has an id that is not well formed
    return project


def _where(filters: dict[str, Any]) -> MemoryFilter:
    """Read as a body of POST /v1/context says them. Raises Invalid."""
    try:
        return memory_wire.where(msgspec.convert(filters, ContextIn))
    except msgspec.ValidationError as wrong:
        raise invalid(wrong) from None


def _query(text: str) -> str:
    if len(text) > _LONGEST_QUERY:
        raise ToolFailure(f'"query" must be at most {_LONGEST_QUERY} characters')
    return text


def _told(call: Call) -> Call:
    """A refusal is a result that says so, and still stands in the audit trail. Defects stay what they are."""

    async def called(exchange: Exchange, given: Arguments) -> Any:
        try:
            return await call(exchange, given)
        except Error as refused:
            if refused.status == 403 and exchange.key is not None:
                await note(exchange, "access.denied", 403, refused.code, exchange.key)
            if refused.status == 500:
                raise
            raise ToolFailure(_sentence(refused)) from None

    return called


def _sentence(refused: Error) -> str:
    if not isinstance(refused, Invalid) or not refused.issues:
        return refused.detail
    return "; ".join(f'"{".".join(issue.path)}": {issue.message}' for issue in refused.issues)


CALLS: Mapping[str, Call] = {
    "search": _told(search),
    "context": _told(context),
    "recent": _told(recent),
    "get": _told(get),
    "projects": _told(projects),
}
TOOLS: list[Tool[Exchange]] = reading.tools(CALLS)
