"""The filters of a tool, from whatever a model wrote to what the store takes."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from outboxd.api.queries import moment
from outboxd.api.wire import platform_of, uuid_of
from outboxd.mcp.arguments import Arguments, ToolFailure
from outboxd.mcp.reading import FILTERS
from outboxd.store.observations import MemoryFilter

_MOST_KINDS = 20
_NOBODYS = UUID(int=0)
"""In place of an id that is not well formed: nothing has either."""


def read(given: Arguments, only: Collection[str] = tuple(FILTERS)) -> MemoryFilter:
    """Raises ToolFailure, in words from which a model can do better."""
    session = _text(given, "sessionId", 255, only)
    return MemoryFilter(
        kinds=_kinds(given) if "kind" in only else None,
        since=_moment(given, "since") if "since" in only else None,
        until=_moment(given, "until") if "until" in only else None,
        session=None if session is None else uuid_of(session) or _NOBODYS,
        platform=platform_of(_text(given, "platformSource", 64, only)),
        file=_text(given, "file", 512, only),
        concept=_text(given, "concept", 100, only),
    )


def _text(given: Arguments, name: str, most: int, only: Collection[str]) -> str | None:
    found = given.text(name) if name in only else None
    if found is not None and (len(found) > most or "\x00" in found):
        raise ToolFailure(f'"{name}" must be at most {most} characters')
    return found


def _kinds(given: Arguments) -> list[str] | None:
    if isinstance(given.given.get("kind"), list):
        return given.texts("kind", _MOST_KINDS)
    kind = given.text("kind")
    return None if kind is None else [kind]


def _moment(given: Arguments, name: str) -> datetime | None:
    found: Any = given.given.get(name)
    if found is None:
        return None
    at = moment(str(found)) if isinstance(found, str | int) and not isinstance(found, bool) else None
    if at is None:
        raise ToolFailure(f'"{name}" must be epoch milliseconds or ISO 8601')
    return at
