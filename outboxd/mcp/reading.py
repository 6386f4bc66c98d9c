"""The tools that read memory: their names, their arguments and the limits of these."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from outboxd.mcp.arguments import Arguments
from outboxd.mcp.tools import Tool

C = TypeVar("C")
Call = Callable[[C, Arguments], Awaitable[Any]]

MOST_IDS = 50

PROJECT = {"type": "string", "description": "Project, where the key is not bound to one."}
QUERY = {"type": "string", "description": 'Words; "quotes" for phrases, OR, and - to exclude.'}
KIND = {
    "description": "Kind of observation, or several of them.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 20}],
}
PLATFORM = {"type": "string", "description": "Agent platform, such as claude or codex."}
_TIME = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
FILTERS: Mapping[str, Any] = {
    "kind": KIND,
    "since": {**_TIME, "description": "Recorded since: epoch milliseconds or ISO 8601."},
    "until": {**_TIME, "description": "Recorded before: epoch milliseconds or ISO 8601."},
    "platformSource": PLATFORM,
    "sessionId": {"type": "string", "description": "Of this session."},
    "file": {"type": "string", "description": "About this file: its path, or the end of it."},
    "concept": {"type": "string", "description": "With this concept."},
}


def integer(low: int, high: int, default: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


def tools(calls: Mapping[str, Call[C]], *, closed: bool = False) -> list[Tool[C]]:
    """`calls` by the name of the tool: search, context, recent, get, projects."""
    return [
        Tool(name=name, description=said, call=calls[name], properties=given, required=need, closed=closed)
        for name, said, given, need in _TABLE
    ]


def filters(arguments: Arguments) -> dict[str, Any]:
    """Those given, as the API's bodies name them; it checks them. Blank is as absent."""
    found = {name: arguments.given.get(name) for name in FILTERS}
    return {name: value for name, value in found.items() if not _blank(value)}


def search_limit(arguments: Arguments) -> int:
    return arguments.number("limit", 1, 100, 20)


def context_limit(arguments: Arguments) -> int:
    return arguments.number("limit", 1, 50, 10)


def token_budget(arguments: Arguments) -> int:
    return arguments.number("tokenBudget", 100, 200_000, 8_000)


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


_TABLE: tuple[tuple[str, str, Mapping[str, Any], tuple[str, ...]], ...] = (
    (
        "search",
        "Full-text search of the project's memory. Gives observations, best first.",
        {"projectId": PROJECT, "query": QUERY, "limit": integer(1, 100, 20), **FILTERS},
        ("query",),
    ),
    (
        "context",
        "What memory knows about a query, or of late without one, as one text that fits a token budget.",
        {
            "projectId": PROJECT,
            "query": QUERY,
            "limit": integer(1, 50, 10),
            "tokenBudget": integer(100, 200_000, 8_000),
            **FILTERS,
        },
        (),
    ),
    (
        "recent",
        "The newest observations of the project.",
        {"projectId": PROJECT, "limit": integer(1, 100, 20), "kind": KIND},
        (),
    ),
    (
        "get",
        "Observations by their ids, with what they were made from.",
        {"ids": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_IDS}},
        ("ids",),
    ),
    ("projects", "The projects that can be read.", {}, ()),
)
