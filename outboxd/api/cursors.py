"""Cursors: where the next page of one list begins, bound to that list.

The mark in front is a digest of route, filters, tenant and place. It is no secret: who makes up a
cursor only chooses where in their own list to begin.
"""

import base64
import binascii
import hashlib
from uuid import UUID

from outboxd.api.exchange import Exchange
from outboxd.errors import InvalidCursor

_MARK = 12
_FREE = {"cursor", "limit", "offset", "include"}
"""What may differ from page to page."""


def write(exchange: Exchange, place: UUID | None) -> str | None:
    return None if place is None else write_bytes(exchange, place.bytes)


def read(exchange: Exchange) -> UUID | None:
    """Raises InvalidCursor for one that is altered, of another list, or of other filters."""
    place = read_bytes(exchange)
    if place is not None and len(place) != 16:
        raise _refused()
    return None if place is None else UUID(bytes=place)


def write_bytes(exchange: Exchange, place: bytes) -> str:
    """For a list whose places are no ids."""
    return base64.urlsafe_b64encode(_mark(exchange, place) + place).decode()


def read_bytes(exchange: Exchange) -> bytes | None:
    """Raises InvalidCursor, as `read`."""
    given = exchange.query.get("cursor")
    if given is None:
        return None
    try:
        raw = base64.b64decode(given.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise _refused() from None
    mark, place = raw[:_MARK], raw[_MARK:]
    if mark != _mark(exchange, place):
        raise _refused()
    return place


def _mark(exchange: Exchange, place: bytes) -> bytes:
    filters = sorted((name, said) for name, said in exchange.query.items() if name not in _FREE)
    caller = exchange.caller
    bound = repr((exchange.path, filters, caller.team_id, caller.project_ids)).encode()
    return hashlib.sha256(bound + place).digest()[:_MARK]


def _refused() -> InvalidCursor:
    return InvalidCursor("the cursor is not one of this list")
