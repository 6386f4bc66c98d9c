"""What the tools of /v1/mcp do: read the memory that the key sees."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from outboxd.api.auth import note
from outboxd.api.exchange import Exchange
from outboxd.errors import Error, Invalid
from outboxd.mcp import reading
from outboxd.mcp.arguments import Arguments, ToolFailure
from outboxd.mcp.tools import Tool
from outboxd.store import tenants

Call = Callable[[Exchange, Arguments], Awaitable[Any]]

_MOST_PROJECTS = 1000


async def projects(exchange: Exchange, given: Arguments) -> Any:
    async with exchange.api.db.connection() as conn:
        found = await tenants.projects(conn, exchange.caller, limit=_MOST_PROJECTS)
    return {"projects": [{"id": each.id, "name": each.name} for each in found]}


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


CALLS: Mapping[str, Call] = {"projects": _told(projects)}
TOOLS: list[Tool[Exchange]] = reading.tools(CALLS)
