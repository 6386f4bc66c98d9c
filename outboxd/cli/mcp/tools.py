"""What an agent can do here: read memory, and write to it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import UNSET

from outboxd.client import Client, ClientError, Event
from outboxd.mcp import reading
from outboxd.mcp.arguments import Arguments, ToolFailure
from outboxd.mcp.reading import MOST_IDS, PLATFORM, PROJECT, QUERY, integer
from outboxd.mcp.tools import Tool

_MOST_PROJECTS = "200"
_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_SESSION = {"type": "string", "description": "Session that it belongs to, by the server's id."}


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    client: Client
    project: str | None
    """For tools that are called without one."""

    def of(self, arguments: Arguments) -> str | None:
        return arguments.text("projectId") or self.project


Call = Callable[[Desk, Arguments], Awaitable[Any]]


async def search(desk: Desk, given: Arguments) -> Any:
    query, limit = given.needed("query"), reading.search_limit(given)
    found = await desk.client.search(query, project_id=desk.of(given), limit=limit, **reading.filters(given))
    return {"observations": found.get("observations", [])}


async def context(desk: Desk, given: Arguments) -> Any:
    found = await desk.client.context(
        given.text("query"),
        project_id=desk.of(given),
        limit=reading.context_limit(given),
        tokenBudget=reading.token_budget(given),
        **reading.filters(given),
    )
    return {name: found.get(name) for name in ("observations", "context")}


async def recent(desk: Desk, given: Arguments) -> Any:
    said = {"projectId": desk.of(given), "limit": str(reading.search_limit(given)), "kind": _kinds(given)}
    query = {name: value for name, value in said.items() if value}
    found = await desk.client.call("GET", "/v1/memories", query=query)
    return {"observations": found.get("memories", [])}


async def get(desk: Desk, given: Arguments) -> Any:
    """Those that there are; an id that nothing has is left out."""
    found = await asyncio.gather(*(_one(desk, each) for each in given.texts("ids", MOST_IDS)))
    return {"observations": [each for each in found if each is not None]}


async def projects(desk: Desk, given: Arguments) -> Any:
    found = await desk.client.call("GET", "/v1/projects", query={"limit": _MOST_PROJECTS})
    return {"projects": [{"id": each["id"], "name": each["name"]} for each in found.get("projects", [])]}


async def add(desk: Desk, given: Arguments) -> Any:
    return await _added(desk, given, given.needed("content"))


async def add_as_before(desk: Desk, given: Arguments) -> Any:
    """With the names that memory_add has always had."""
    content = given.text("content") or given.text("narrative") or given.needed("content")
    return await _added(desk, given, content)


async def record_event(desk: Desk, given: Arguments) -> Any:
    occurred, payload = given.given.get("occurredAtEpoch"), given.given.get("payload")
    event = Event(
        event_type=given.needed("eventType"),
        payload={} if payload is None else payload,
        project_id=desk.of(given) or UNSET,
        source_type=given.text("sourceType") or "api",
        server_session_id=given.text("serverSessionId") or UNSET,
        content_session_id=given.text("contentSessionId") or UNSET,
        memory_session_id=given.text("memorySessionId") or UNSET,
        platform_source=given.text("platformSource") or UNSET,
    )
    if occurred is not None:
        event = msgspec.structs.replace(event, occurred_at_epoch=occurred)
    return await desk.client.record_event(event, generate=given.flag("generate"))


async def status(desk: Desk, given: Arguments) -> Any:
    return await desk.client.get_job(given.text("jobId") or given.text("job_id") or given.needed("jobId"))


async def _one(desk: Desk, id_: str) -> Any:
    try:
        return (await desk.client.get_memory(id_)).get("memory")
    except ClientError as failed:
        if failed.status == 404:
            return None
        raise


async def _added(desk: Desk, given: Arguments, content: str) -> Any:
    return await desk.client.add_memory(
        content,
        project_id=desk.of(given),
        kind=given.text("kind") or given.text("type"),
        title=given.text("title"),
        session=given.text("serverSessionId"),
        metadata=given.record("metadata"),
    )


def _kinds(given: Arguments) -> str | None:
    kind = given.given.get("kind")
    return ",".join(map(str, kind)) if isinstance(kind, list) else given.text("kind")


def _told(call: Call) -> Call:
    """The client's failures as a model reads them."""

    async def called(desk: Desk, given: Arguments) -> Any:
        try:
            return await call(desk, given)
        except ClientError as failed:
            status = "" if failed.status is None else f" {failed.status}"
            raise ToolFailure(f"Server error ({failed.kind}{status}): {failed.detail}") from None

    return called


_ADD = {
    "content": {**_TEXT, "description": "What to remember."},
    "projectId": PROJECT,
    "serverSessionId": _SESSION,
    "kind": {**_TEXT, "description": "Such as decision or gotcha; manual unless given."},
    "metadata": _OBJECT,
}
_SEARCH = {
    "query": QUERY,
    "projectId": PROJECT,
    "platformSource": PLATFORM,
    "limit": integer(1, 100, 20),
}
_CONTEXT = {**_SEARCH, "limit": integer(1, 50, 10)}
_EVENT = {
    "eventType": {**_TEXT, "description": "What kind of thing happened, such as tool_use."},
    "projectId": PROJECT,
    "sourceType": {
        "type": "string",
        "enum": ["hook", "worker", "provider", "server", "api", "sdk", "mcp"],
        "default": "api",
    },
    "serverSessionId": _SESSION,
    "contentSessionId": {**_TEXT, "description": "Session that it belongs to, by the agent's own id."},
    "memorySessionId": _TEXT,
    "platformSource": PLATFORM,
    "payload": {"description": "What happened, as JSON."},
    "occurredAtEpoch": {"type": "integer", "description": "Milliseconds; now unless given."},
    "generate": {"type": "boolean", "description": "Whether observations are made from it."},
}
_JOB = {"jobId": {**_TEXT, "description": "Of an event's or a session's reply."}, "job_id": _TEXT}


def _tool(name: str, said: str, call: Call, given: dict[str, Any], *need: str, **more: Any) -> Tool[Desk]:
    return Tool(
        name=name,
        description=said,
        call=_told(call),
        properties=given,
        required=need,
        closed=True,
        **{"reads": False, **more},
    )


_ALIAS = {"narrative": _TEXT, "title": _TEXT, "type": _TEXT}
_OLD = {"listed": False, "reads": True}

TOOLS: tuple[Tool[Desk], ...] = (
    *reading.tools(
        {
            "search": _told(search),
            "context": _told(context),
            "recent": _told(recent),
            "get": _told(get),
            "projects": _told(projects),
        },
        closed=True,
    ),
    _tool("observation_add", "Remember something for the project.", add, _ADD, "content"),
    _tool("observation_record_event", "Record that something happened.", record_event, _EVENT, "eventType"),
    _tool("observation_search", "Full-text search of memory.", search, _SEARCH, "query", reads=True),
    _tool("observation_context", "What memory knows, as one text.", context, _CONTEXT, reads=True),
    _tool(
        "observation_generation_status", "How far a job of generation is.", status, _JOB, "jobId", reads=True
    ),
    _tool("memory_add", "observation_add", add_as_before, {**_ADD, **_ALIAS}, "content", listed=False),
    _tool("memory_search", "observation_search", search, _SEARCH, "query", **_OLD),
    _tool("memory_context", "observation_context", context, _CONTEXT, **_OLD),
)
