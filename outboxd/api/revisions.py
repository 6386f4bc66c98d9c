"""`If-Match`: a change that is meant for one revision of a row."""

import re

from outboxd.api.exchange import Exchange

_REVISION = re.compile(rb'"([0-9]{1,9})"')
_NONE = -1
"""What no row has."""


def wanted(exchange: Exchange) -> int | None:
    """The revision that the row has to have; None: whichever it has."""
    given = exchange.headers.get(b"if-match", b"*").strip()
    if given == b"*":
        return None
    found = _REVISION.fullmatch(given)
    return int(found[1]) if found else _NONE
