"""Who asks, as the first argument of a verb."""

from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from outboxd.model import Caller

CALLER = "outbox.caller_of(%s)"
"""SQL for the caller that `row` gives."""


class ByKey(Caller, frozen=True, kw_only=True):
    """Whoever holds the key `key_id`: whether it opens `scope` is read in the statement that acts."""

    scope: str


def row(caller: Caller) -> Jsonb:
    return Jsonb(caller, dumps=_dumped)


def _dumped(caller: Any) -> bytes:
    return msgspec.json.encode(caller)
