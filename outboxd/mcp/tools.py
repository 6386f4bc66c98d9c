"""A conversation over a table of tools: initialize, ping, tools/list, tools/call, and no more."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from outboxd import __version__
from outboxd.mcp import messages
from outboxd.mcp.arguments import Arguments, ToolFailure
from outboxd.mcp.messages import VERSIONS, Message, Request

C = TypeVar("C")
"""What a tool works with besides its arguments."""

_ENCODER = msgspec.json.Encoder()
_LONGEST_NAME = 100


class Tool(msgspec.Struct, Generic[C], frozen=True, kw_only=True):
    name: str
    description: str
    call: Callable[[C, Arguments], Awaitable[Any]]
    """Gives what can be encoded as JSON. Raises ToolFailure."""
    properties: Mapping[str, Any] = {}
    """JSON Schema of each argument."""
    required: tuple[str, ...] = ()
    reads: bool = True
    """Changes nothing."""
    listed: bool = True
    closed: bool = False
    """Other arguments than these are refused."""


class Conversation(Generic[C]):
    def __init__(self, tools: Iterable[Tool[C]]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._listed = [_shown(tool) for tool in self._tools.values() if tool.listed]

    async def answer(self, request: Request, context: C) -> Message:
        """The one answer to `request`. A tool's failure is a result; any other exception is let through."""
        match request.method:
            case "initialize":
                return messages.result(request, _hello(request.params))
            case "ping":
                return messages.result(request, {})
            case "tools/list":
                return messages.result(request, {"tools": self._listed})
            case "tools/call":
                return await self._called(request, context)
            case unknown:
                said = f"Method not found: {unknown[:_LONGEST_NAME]}"
                return messages.error(request.id, messages.METHOD_NOT_FOUND, said)

    async def _called(self, request: Request, context: C) -> Message:
        name, given = request.params.get("name"), request.params.get("arguments")
        if not isinstance(name, str) or not isinstance(given, dict | None):
            said = "tools/call wants a name and an object of arguments"
            return messages.error(request.id, messages.INVALID_PARAMS, said)
        try:
            found = await self._call(name, given or {}, context)
        except ToolFailure as failed:
            return messages.result(request, {**_text(str(failed)), "isError": True})
        return messages.result(request, _text(_ENCODER.encode(found).decode()))

    async def _call(self, name: str, given: dict[str, Any], context: C) -> Any:
        tool = self._tools.get(name)
        if tool is None:
            raise ToolFailure(f"Unknown tool: {name[:_LONGEST_NAME]}")
        unknown = next((each for each in given if tool.closed and each not in tool.properties), None)
        if unknown is not None:
            raise ToolFailure(f'"{unknown[:_LONGEST_NAME]}" is not an argument of {name}')
        return await tool.call(context, Arguments(given))


def _hello(params: Mapping[str, Any]) -> dict[str, Any]:
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in VERSIONS else VERSIONS[-1],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "outboxd", "version": __version__},
    }


def _shown(tool: Tool[C]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": tool.properties}
    if tool.required:
        schema["required"] = tool.required
    if tool.closed:
        schema["additionalProperties"] = False
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": schema,
        "annotations": {"readOnlyHint": tool.reads},
    }


def _text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}
