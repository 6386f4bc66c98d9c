"""Query parameters: text, turned into what it means or refused by name."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

from outboxd.api.exchange import Exchange
from outboxd.api.wire import uuid_of
from outboxd.errors import Invalid, Issue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_EPOCH = 253_402_300_799_999
_FLAGS = {"true": True, "false": False}


def refused(name: str, message: str, code: str = "invalid_value") -> Invalid:
    return Invalid("Invalid request", (Issue(path=(name,), code=code, message=message, place="query"),))


def flag(exchange: Exchange, name: str, *, default: bool) -> bool:
    given = exchange.query.get(name)
    if given is None:
        return default
    if given not in _FLAGS:
        raise refused(name, "true or false")
    return _FLAGS[given]


def number(exchange: Exchange, name: str, low: int, high: int, default: int) -> int:
    given = exchange.query.get(name)
    if given is None:
        return default
    if not given.isascii() or not given.isdigit() or len(given) > 9 or not low <= int(given) <= high:
        raise refused(name, f"a number from {low} to {high}")
    return int(given)


def limit(exchange: Exchange) -> int:
    """Of a page."""
    return number(exchange, "limit", 1, 200, 50)


def choice(exchange: Exchange, name: str, options: Collection[str]) -> str | None:
    given = exchange.query.get(name)
    if given is not None and given not in options:
        raise refused(name, f"one of {', '.join(sorted(options))}")
    return given


def text(exchange: Exchange, name: str, most: int = 512) -> str | None:
    given = exchange.query.get(name)
    if given is not None and (not 1 <= len(given) <= most or "\x00" in given):
        raise refused(name, f"1 to {most} characters")
    return given


def ident(exchange: Exchange, name: str) -> UUID | None:
    """An id that is not well formed is one that nothing has: the nil one."""
    given = exchange.query.get(name)
    return None if given is None else uuid_of(given) or UUID(int=0)


def time(exchange: Exchange, name: str) -> datetime | None:
    """Epoch milliseconds, or ISO 8601; without a zone it is UTC."""
    given = exchange.query.get(name)
    if given is None:
        return None
    at = moment(given)
    if at is None:
        raise refused(name, "milliseconds since 1970, or ISO 8601 from 1970 on")
    return at


def moment(given: str) -> datetime | None:
    """The time that the text says; None if it says none."""
    if given.isascii() and given.isdigit() and len(given) <= 15 and int(given) <= _LAST_EPOCH:
        return _EPOCH + timedelta(milliseconds=int(given))
    try:
        # A `+` that was not escaped arrives as a blank.
        at = datetime.fromisoformat(given.replace(" ", "+") if "T" in given else given)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at if 1970 <= at.year <= 9999 else None
